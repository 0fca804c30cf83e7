// Ranks of one host that read each other's memory in place: no message, no copy in or out. A collective is posted where it is
// called, and done by the calling threads where it is waited for: peers' flags, then one pass over peers' memory. Spans outside
// of what allocate() gave travel as messages.
#pragma once
#include <chrono>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "comm/board.h"
#include "comm/process_watch.h"
#include "comm/windows.h"

namespace zerorun {

// What is watched beside the collectives themselves.
struct HostWatch {
  double timeout_seconds = 0;  // of a wait for peers, which then throws Error(timeout) that says for whom; 0: none
  // Called, on another thread, when the process of a rank ends that has not said so, with a message that says what it did.
  std::function<void(std::string)> on_lost_rank;
  int first_rank = 0;  // the number of the host's first rank among all, in what is said
};

// Errors: disagreement where a peer calls another collective, size or dtype, or has ended; PeerFailed where it gave up. Then, and
// after abandon(), nothing runs any more. Not thread-safe: one thread of a rank makes its calls, Works included.
class HostCommunicator : public Communicator {
 public:
  // Collective over `messages`, whose ranks are processes of one host, or threads of one. Throws Error(configuration) on all ranks
  // where one may not see another's memory.
  explicit HostCommunicator(std::shared_ptr<Communicator> messages, HostWatch watch = {});
  // Completes what was issued; the peers must come to it too.
  ~HostCommunicator() override;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  Work all_gather(Span slice, Span full) override;
  Work reduce_scatter(Span full, Span slice, Span scratch, OnBlock on_block) override;
  Work all_reduce(Span full, Span scratch) override;
  void exchange(const void* mine, void* all, int64_t bytes) override;
  at::Tensor allocate(int64_t bytes) override;
  Readers readers() const override { return Readers::all; }
  at::Tensor allocate_slice(int64_t slice_bytes, void*& whole) override;
  void tell(const Activity& activity) override;
  // The two halves of tell(), for who computes on one thread and communicates on another: what the others see, and what the calls to come
  // belong to.
  void show(const Activity& activity) { board_->tell(activity); }
  void label(const Activity& activity) { activity_ = activity; }
  // Thread-safe: what is under way, and all after it, fails with PeerFailed, here and on the peers.
  void interrupt() noexcept { board_->leave(Board::State::gave_up); }
  void abandon() noexcept override;

 private:
  // A collective on its way: posted by this rank, read when all have posted it, gone when all have read it.
  struct Pending {
    uint64_t sequence;
    Call call;
    std::function<void()> read;
    bool is_read = false;
    bool is_taken = false;  // by others, who have to be done with it
  };

  uint64_t reserve();
  void post(uint64_t sequence, Call call, Place place, bool takes, const void* bytes = nullptr);
  Work issue(uint64_t sequence, Call call, std::function<void()> read);
  void complete(uint64_t sequence);
  void wait_until(const std::function<bool()>& condition);
  bool progress();
  bool read(Pending& pending);
  bool is_held(const Pending& pending) const;
  [[noreturn]] void disagree(uint64_t sequence) const;
  void check_peers() const;
  void check_time(std::chrono::steady_clock::time_point start);
  void watch_peers();
  void give_up(std::exception_ptr reason) noexcept;

  bool all_in_windows(uint64_t sequence) const;
  void sum(uint64_t sequence, Span slice, const OnBlock& on_block = {}) const;
  void copy(uint64_t sequence, Span slice, Span full) const;

  const std::shared_ptr<Communicator> messages_;
  const int rank_, size_;
  SharedMemory board_memory_;
  std::optional<Board> board_;
  std::shared_ptr<Windows> windows_;
  std::shared_ptr<char> alive_ = std::make_shared<char>();  // Works may outlive this
  std::deque<Pending> pending_;
  uint64_t last_sequence_ = 0;
  std::exception_ptr failure_;
  Activity activity_;
  const HostWatch watch_;
  const int exceptions_at_start_ = std::uncaught_exceptions();
  std::optional<ProcessWatch> peers_;  // last: its thread reads the rest
};

}  // namespace zerorun
