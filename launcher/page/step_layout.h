// Where the sections of a timeline lie on the axis of a step, and what is written below them.
#pragma once
#include <string>
#include <vector>

#include "launcher/page/plot.h"
#include "zero/timeline.h"

namespace zerorun::page {

// Shares of the width.
struct PlacedSection {
  const MemoryTimeline::Section* section;
  double from, to;

  double x_of(size_t level) const;
};

// Visits of units are equally wide; what is short but has a name is wide enough for it. REQUIRES that the timeline outlives it.
std::vector<PlacedSection> lay_out(const MemoryTimeline& timeline);

// Names of units and phases under the plot, as many as there is room for in a wide and in a narrow window, and lines between the phases.
void write_below(Plot& plot, const std::vector<PlacedSection>& sections);

// "backward of transformer.h.3"; of several micro-batches with its number.
std::string words_of(const MemoryTimeline::Section& section, bool several);

}  // namespace zerorun::page
