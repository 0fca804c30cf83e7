// A run in words: what it was, how it ended, how long it took.
#pragma once
#include <string>

#include "launcher/page/run_files.h"

namespace zerorun::page {

// `model`: in words.
std::string head(const RunFiles& run, const std::string& model);
std::string facts(const RunFiles& run, const std::string& model);
std::string time_section(const RunFiles& run);

}  // namespace zerorun::page
