// The bytes of the MPI backend: gather and reduce as point-to-point messages. Blocking; for the communication thread.
// Only sources of the MPI backend include this header: it brings mpi.h.
#pragma once
#include <mpi.h>

#include <atomic>
#include <vector>

#include "comm/collective.h"

namespace zerorun {

// The ranks of a transport among more: every `stride`-th from `first` on.
struct RankSubset {
  int first = 0, stride = 1;

  int number_of(int rank) const { return first + rank * stride; }
};

// When a wait for messages ends without them, and what the ranks are called that it is for.
struct WaitLimits {
  const std::atomic<bool>& abandoned;
  double timeout_seconds = 0;  // 0: none
  RankSubset names = {};
};

// Messages under way, and what is expected of those that come in.
class MpiMessages {
 public:
  // All carry a tag made of the call, so that ranks on different paths notice.
  MpiMessages(MPI_Comm communicator, const Call& call, const WaitLimits& limits);

  void send(int peer, const void* data, int64_t bytes);
  void receive(int peer, void* data, int64_t bytes);
  // Polls until all are done. Throws PeerFailed when they are abandoned; receives are cancelled then, as far as MPI can. Throws
  // Error(timeout) that names who has not sent.
  void wait();

 private:
  struct Expected {
    bool incoming;
    int peer;
    int64_t bytes;
  };
  void cancel_receives();
  [[noreturn]] void abandon();
  [[noreturn]] void fail_for_time();
  void check_completed(int index, const MPI_Status& status, bool has_error) const;

  MPI_Comm communicator_;
  Call call_;
  int tag_;
  const WaitLimits& limits_;
  std::vector<MPI_Request> requests_;
  std::vector<Expected> expected_;
};

class MpiTransport {
 public:
  // A duplicate of MPI_Comm_f2c(communicator) that returns errors. Collective. `limits.abandoned` becomes true when it must not wait for
  // peers any more. REQUIRES: that flag outlives it.
  // The slices of its ranks are those of the numbers in `slices`.
  MpiTransport(int communicator, WaitLimits limits, RankSubset slices = {});
  ~MpiTransport();
  MpiTransport(const MpiTransport&) = delete;
  MpiTransport& operator=(const MpiTransport&) = delete;

  void gather(const Call& call, Span slice, Span full);
  // `scratch` has two rounds of one piece per rank.
  void reduce(const Call& call, Span full, Span slice, void* scratch, int64_t piece_bytes);

 private:
  // A round of a reduction: one piece of every slice is on its way to the slice's owner.
  struct Round {
    MpiMessages messages;
    char* scratch;  // one piece per rank

    void* arrival(int peer, int64_t piece, at::ScalarType dtype) { return scratch + Span{nullptr, peer * piece, dtype}.bytes(); }
  };
  // `piece` elements (fewer in the last round) of every slice, from element `begin` of the slice on.
  void send_pieces(Round& round, Span full, int64_t begin, int64_t piece);
  void sum_pieces(Round& round, Span full, Span slice, int64_t begin, int64_t piece);

  Span slice_of(Span full, int rank) const { return full.slice(slices_.number_of(rank), size_ * slices_.stride); }

  const WaitLimits limits_;
  const RankSubset slices_;
  MPI_Comm communicator_ = MPI_COMM_NULL;
  int rank_ = 0;
  int size_ = 1;
};

}  // namespace zerorun
