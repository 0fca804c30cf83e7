// A rank's memory as the JSON that report.json has of it (README.md).
#pragma once
#include <nlohmann/json.hpp>

#include "launcher/report.h"

namespace zerorun {

// `measured` too, or what is predicted only.
nlohmann::ordered_json memory_json(const RankMemory& memory, bool measured);

}  // namespace zerorun
