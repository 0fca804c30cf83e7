#include "core/gpu/profile.h"

#include <torch/csrc/autograd/profiler_kineto.h>

#include "core/gpu/cuda_check.h"
#include "core/gpu/gpu.h"

namespace zerorun::gpu {
namespace {

namespace profiler = torch::autograd::profiler;

using Nanoseconds = std::chrono::nanoseconds;

// The profiler's clock is that of the calendar.
std::chrono::steady_clock::time_point steady(uint64_t since_epoch, Nanoseconds calendar_ahead) {
  return std::chrono::steady_clock::time_point(std::chrono::duration_cast<std::chrono::steady_clock::duration>(Nanoseconds(since_epoch) - calendar_ahead));
}

[[noreturn]] void fail_to_record(const std::string& reason) { fail(ErrorKind::io, "what the GPU does cannot be recorded: {}", reason); }

}  // namespace

Profile::Profile() {
  const profiler::ProfilerConfig config(profiler::ProfilerState::KINETO);
  const std::set activities{profiler::ActivityType::CUDA};
  try {
    profiler::prepareProfiler(config, activities);
    profiler::enableProfiler(config, activities);
    records_ = true;
  } catch (const std::exception& error) {
    reason_ = error.what();
  }
}

Profile::~Profile() {
  try {
    if (records_) static_cast<void>(profiler::disableProfiler());
  } catch (const std::exception&) {  // nobody asks any more
  }
}

std::vector<Activity> Profile::end() {
  if (!records_) fail_to_record(reason_);
  check(cudaDeviceSynchronize(), "waiting for the GPU");
  records_ = false;
  std::unique_ptr<profiler::ProfilerResult> result;
  try {
    result = profiler::disableProfiler();
  } catch (const std::exception& error) {
    fail_to_record(error.what());
  }
  const Nanoseconds calendar_ahead = std::chrono::system_clock::now().time_since_epoch() - std::chrono::steady_clock::now().time_since_epoch();
  std::vector<Activity> activities;
  for (const auto& event : result->events()) {
    if (event.deviceType() != c10::DeviceType::CUDA) continue;
    activities.push_back({event.name(), event.deviceResourceId(), steady(event.startNs(), calendar_ahead), steady(event.endNs(), calendar_ahead)});
  }
  if (activities.empty()) fail_to_record("CUDA's tools (CUPTI) tell nothing");
  return activities;
}

}  // namespace zerorun::gpu
