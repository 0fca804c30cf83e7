// The page of a run: one HTML file that needs nothing else. The same run gives the same bytes.
#pragma once
#include <optional>
#include <string>

#include "launcher/page/run_files.h"
#include "zero/timeline.h"

namespace zerorun::page {

struct Contents {
  RunFiles run;
  std::string model;                       // in words: "GPT-2, 12 blocks of width 768"
  std::optional<MemoryTimeline> timeline;  // of rank 0
  std::string about_timeline;              // why there is none, or what is to be said of it; may be empty
};

// How a page begins, so that it is known again.
inline constexpr const char* kFront = "<!doctype html>\n<!-- a page of zerorun report -->\n";

std::string page(const Contents& contents);

}  // namespace zerorun::page
