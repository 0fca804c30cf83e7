// Who hangs, among ranks that do not share memory: every rank answers, on a thread of its own, how many collectives it has come to, which it is in,
// and what it does. Asked only where a wait has taken too long.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "comm/collective.h"

namespace zerorun {

class MpiSession;

class RollCall {
 public:
  // Collective over the ranks of `session`, of which it uses an own duplicate.
  explicit RollCall(MpiSession& session);
  ~RollCall();
  RollCall(const RollCall&) = delete;
  RollCall& operator=(const RollCall&) = delete;

  // Of this rank, for the others: what it does, that it has come to a collective, whose number is returned, and which of them is under way (0: none).
  // Thread-safe.
  void tell(const Activity& activity);
  uint64_t come_to_call();
  void set_under_way(uint64_t number, const Call& call);

  // Names the ranks that do not answer within a second, or else those that have come to the fewest collectives, with what they do; this rank
  // where it is one of them. Throws Error(disagreement) where the collective under way here is another on a rank that has come to as many.
  // Thread-safe.
  std::string who_is_late();

 private:
  struct Answer {
    uint64_t calls = 0, under_way = 0;
    Call call;
    int64_t process = 0;
    std::array<char, 64> host{};
    Activity activity;
  };
  using Answers = std::vector<std::optional<Answer>>;
  Answer own();
  Answers ask_all();
  void check_same_call(const Answers& answers) const;
  void answer_until_stopped();

  const int rank_, size_;
  int questions_ = 0, answers_ = 0;  // communicators, as MPI_Comm_c2f gives them
  std::mutex asking_;
  std::mutex mutex_;  // of own_
  Answer own_;
  std::atomic<bool> stopped_ = false;
  std::thread thread_;
};

}  // namespace zerorun
