// The bytes of the MPI backend: gather and reduce as point-to-point messages. Blocking; for the communication thread.
// Only sources of the MPI backend include this header: it brings mpi.h.
#pragma once
#include <mpi.h>

#include <atomic>
#include <vector>

#include "comm/collective.h"

namespace zerorun {

// Messages under way, and what is expected of those that come in.
class MpiMessages {
 public:
  // `tag` tells collective and dtype, so that ranks on different paths notice.
  MpiMessages(MPI_Comm communicator, int tag, const std::atomic<bool>& abandoned)
      : communicator_(communicator), tag_(tag), abandoned_(abandoned) {}

  void send(int peer, const void* data, int64_t bytes);
  void receive(int peer, void* data, int64_t bytes);
  // Polls until all are done. Throws PeerFailed when they are abandoned; receives are cancelled then, as far as MPI can.
  void wait();

 private:
  struct Expected {
    bool incoming;
    int peer;
    int64_t bytes;
  };
  [[noreturn]] void cancel();
  void check_completed(int index, const MPI_Status& status, bool has_error) const;

  MPI_Comm communicator_;
  int tag_;
  const std::atomic<bool>& abandoned_;
  std::vector<MPI_Request> requests_;
  std::vector<Expected> expected_;
};

class MpiTransport {
 public:
  // A duplicate of MPI_Comm_f2c(communicator) that returns errors. Collective. `abandoned` becomes true when it must not wait for
  // peers any more. REQUIRES: `abandoned` outlives it.
  MpiTransport(int communicator, const std::atomic<bool>& abandoned);
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

  const std::atomic<bool>& abandoned_;
  MPI_Comm communicator_ = MPI_COMM_NULL;
  int rank_ = 0;
  int size_ = 1;
};

}  // namespace zerorun
