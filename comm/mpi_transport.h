// The bytes of the MPI backend: gather and reduce as point-to-point messages. Blocking; for the communication thread.
// Only sources of the MPI backend include this header: it brings mpi.h.
#pragma once
#include <mpi.h>

#include <atomic>
#include <vector>

#include "comm/collective.h"

namespace zerorun {

// Which slices of a span belong to the ranks of a transport: every `stride`-th from `first` on. So are the numbers of these ranks among all.
struct Slices {
  int first = 0, stride = 1;
};

// When a wait for messages ends without them.
struct WaitLimits {
  const std::atomic<bool>& abandoned;
  double timeout_seconds = 0;  // 0: none
  Slices names = {};           // of the ranks, in what is said
};

// Messages under way, and what is expected of those that come in.
class MpiMessages {
 public:
  // `tag` tells collective and dtype, so that ranks on different paths notice.
  MpiMessages(MPI_Comm communicator, int tag, const WaitLimits& limits) : communicator_(communicator), tag_(tag), limits_(limits) {}

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
  [[noreturn]] void cancel();
  [[noreturn]] void fail_for_time() const;
  void check_completed(int index, const MPI_Status& status, bool has_error) const;

  MPI_Comm communicator_;
  int tag_;
  const WaitLimits& limits_;
  std::vector<MPI_Request> requests_;
  std::vector<Expected> expected_;
};

class MpiTransport {
 public:
  // A duplicate of MPI_Comm_f2c(communicator) that returns errors. Collective. `abandoned` becomes true when it must not wait for
  // peers any more. REQUIRES: `abandoned` outlives it.
  MpiTransport(int communicator, const std::atomic<bool>& abandoned, double timeout_seconds, Slices slices = {});
  ~MpiTransport();
  MpiTransport(const MpiTransport&) = delete;
  MpiTransport& operator=(const MpiTransport&) = delete;

  void gather(Collective kind, Span slice, Span full);
  // `scratch` has two rounds of one piece per rank.
  void reduce(Collective kind, Span full, Span slice, void* scratch, int64_t piece_bytes);

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

  Span slice_of(Span full, int rank) const { return full.slice(slices_.first + rank * slices_.stride, size_ * slices_.stride); }

  const WaitLimits limits_;
  const Slices slices_;
  MPI_Comm communicator_ = MPI_COMM_NULL;
  int rank_ = 0;
  int size_ = 1;
};

}  // namespace zerorun
