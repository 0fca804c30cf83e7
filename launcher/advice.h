// What would make a run fit that takes too much memory.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "core/span.h"
#include "launcher/settings.h"

namespace zerorun {

// The predicted peak of a rank's process with other settings, in bytes.
using PredictPeak = std::function<int64_t(const Settings&)>;

// Settings that take less, each on top of those before it, with what the run takes then, up to the first with which it fits into `limit`
// bytes a rank: "with activation_checkpoint.mode: full it takes 8.1 GiB, with ... too 5.2 GiB, which fits". What does not help is left out.
// Each costs a prediction. `peak`: with the settings as they are. `device`: beside a GPU host memory is a place to sleep in, else a disk is.
std::string ways_to_fit(const Settings& settings, int64_t peak, int64_t limit, const PredictPeak& predict_peak, Side device = Side::host);

// The three settings that save most, each alone: "activation_checkpoint.mode: full saves 3.1 GiB, ..."; empty where none saves anything.
std::string ways_to_save(const Settings& settings, int64_t peak, const PredictPeak& predict_peak, Side device);

}  // namespace zerorun
