// What a GPU does and when, as CUDA's tools record it: kernels, copies, fills.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace zerorun::gpu {

struct Activity {
  std::string name;
  int64_t stream = 0;
  std::chrono::steady_clock::time_point begin, end;
};

// Records from its construction on; one at a time in a process, begun and ended on the thread that computes. It takes memory of the GPU that nothing else counts.
class Profile {
 public:
  Profile();
  // Where it was not asked for what it found that is thrown away.
  ~Profile();
  Profile(const Profile&) = delete;
  Profile& operator=(const Profile&) = delete;

  // Waits for the GPU and ends the recording: what it has done since, in no order. Once. Throws Error(io) with the reason where nothing could be recorded.
  std::vector<Activity> end();

 private:
  bool records_ = false;
  std::string reason_;
};

}  // namespace zerorun::gpu
