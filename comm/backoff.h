// How long to wait before the next look at what did not move. Ranks share cores with the computation, and may be more than there
// are: a wait spins shortly, then yields, then sleeps.
#pragma once
#include <chrono>
#include <thread>

namespace zerorun {

class Backoff {
 public:
  Backoff(int spins, int yields, std::chrono::microseconds sleep) : spins_(spins), yields_(yields), sleep_(sleep) {}

  void reset() { looks_ = 0; }
  void pause() {
    if (++looks_ < spins_) return;
    if (looks_ < spins_ + yields_) return std::this_thread::yield();
    std::this_thread::sleep_for(sleep_);
  }

 private:
  const int spins_, yields_;
  const std::chrono::microseconds sleep_;
  int looks_ = 0;
};

}  // namespace zerorun
