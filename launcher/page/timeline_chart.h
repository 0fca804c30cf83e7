// Memory over the course of a step as stacked areas, category by category.
#pragma once
#include <string>

#include "zero/timeline.h"

namespace zerorun::page {

// The chart, its legend with what there is of each category at the highest moment, and, where something sleeps, a chart of that.
std::string timeline_chart(const MemoryTimeline& timeline);

// Of the device's categories, at any moment: what the prediction calls its total.
int64_t highest_total(const MemoryTimeline& timeline);

}  // namespace zerorun::page
