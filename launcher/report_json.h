// Parts of report.json (README.md) that other commands print too.
#pragma once
#include <nlohmann/json.hpp>

#include "launcher/report.h"
#include "launcher/step_time.h"

namespace zerorun {

// `measured` too, or what is predicted only.
nlohmann::ordered_json memory_json(const RankMemory& memory, bool measured);

// Seconds of each phase, and of each resource that works in it.
nlohmann::ordered_json step_time_json(const StepTime& time);

}  // namespace zerorun
