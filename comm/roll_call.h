// Who hangs, among ranks that do not share memory: every rank answers, on a thread of its own, how many collectives it has come to and what it
// does. Asked only where a wait has taken too long.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

#include "comm/activity.h"

namespace zerorun {

class MpiSession;

class RollCall {
 public:
  // Collective over the ranks of `session`, of which it uses an own duplicate.
  explicit RollCall(MpiSession& session);
  ~RollCall();
  RollCall(const RollCall&) = delete;
  RollCall& operator=(const RollCall&) = delete;

  // Of this rank, for the others. Thread-safe.
  void tell(const Activity& activity);
  void count_call() { ++calls_; }

  // Names the ranks that do not answer within a second, or else those that have come to the fewest collectives, with what they do; this rank
  // where it is one of them. From any thread, one at a time.
  std::string who_is_late();

 private:
  struct Answer {
    uint64_t calls = 0;
    int64_t process = 0;
    std::array<char, 64> host{};
    Activity activity;
  };
  Answer own();
  void answer_until_stopped();

  const int rank_, size_;
  int questions_ = 0, answers_ = 0;  // communicators, as MPI_Comm_c2f gives them
  std::string host_;
  std::atomic<uint64_t> calls_ = 0;
  std::mutex mutex_;
  Activity activity_;
  std::atomic<bool> stopped_ = false;
  std::thread thread_;
};

}  // namespace zerorun
