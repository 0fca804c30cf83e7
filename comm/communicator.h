// The contract between ranks: N ranks make the same calls in the same order. Collectives work on spans of memory, not
// on tensors. Sums are made in rank order in fp32 and rounded once to the span's dtype: every backend gives the same bits.
//
// Slices: a full span has size() equal slices; slice r belongs to rank r. Cost on the wire, bytes sent per rank, with
// N = size() and S = bytes of one slice: all_gather and reduce_scatter (N-1) S, all_reduce 2 (N-1) S, exchange (N-1) bytes.
//
// A backend takes spans of one side (core/span.h): all of the host, or all of the rank's GPU. On a GPU a collective comes after what the calling thread has launched,
// and Work::wait() puts it before what that launches next, without a wait of the host.
#pragma once
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <functional>
#include <utility>

#include "comm/activity.h"
#include "comm/on_block.h"
#include "core/event.h"
#include "core/span.h"

namespace at {
class Tensor;
}

namespace zerorun {

// A collective under way. wait() makes the result visible to what this thread runs next and rethrows its error.
// An empty Work is done. A Work may be dropped without wait(): the collective still happens, in order. REQUIRES: the
// memory of its spans lives until it is done; who unwinds calls Communicator::abandon() first.
class Work {
 public:
  Work() = default;
  explicit Work(std::function<void()> wait) : wait_(std::move(wait)) {}
  Work(Event done) : wait_([done = std::move(done)] { done.wait(); }) {}
  void wait() {
    if (wait_) std::exchange(wait_, nullptr)();
  }

 private:
  std::function<void()> wait_;
};

// Who reads in place what allocate() gives a rank: nobody else, the ranks of its host, all, who then sit on one, or the other ranks' GPUs: such a buffer has pages
// of its own on the GPU.
enum class Readers { owner, host, all, gpus };

class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;

  // full.slice(r) becomes rank r's `slice`, for all r. In place when `slice` is full.slice(rank()); otherwise they are apart.
  virtual Work all_gather(Span slice, Span full) = 0;

  // `slice` becomes the sum over ranks of their full.slice(rank()). In place when `slice` is full.slice(rank()); the rest of
  // `full` is unspecified afterwards. `scratch` has reduce_scratch_bytes(...) bytes; it is in use until the next collective
  // of this communicator is done. `on_block`, where there is one, gets each block of `slice` once, before wait() returns. With spans of a GPU
  // there must be none: the host does not see their values.
  virtual Work reduce_scatter(Span full, Span slice, Span scratch, OnBlock on_block = {}) = 0;

  // `full` becomes the sum over ranks of their `full`, as a reduce-scatter and an all-gather in place.
  virtual Work all_reduce(Span full, Span scratch) = 0;

  // Control: a few bytes of every rank to every rank, at once. `all` has size() * bytes. Blocks.
  virtual void exchange(const void* mine, void* all, int64_t bytes) = 0;

  // A buffer that collectives read and write without a copy, `bytes` uint8 elements, aligned to 64 bytes, charged to the
  // memory scope of the caller. Collective: every rank asks for the same sizes in the same order.
  virtual at::Tensor allocate(int64_t bytes) = 0;

  // This rank's slice of a buffer whose slices are gathered often. Where all ranks read it the buffer is theirs together: slices lie
  // side by side from `whole` on, each rank writes its own, and their all_gather moves nothing; its wait() is then no leave to write
  // the slice again: that is an exchange() or a reduction that all ranks come to after their last use. Elsewhere it is
  // allocate(slice_bytes), and `whole` becomes null. Charged: slice_bytes. Collective, as allocate().
  virtual at::Tensor allocate_slice(int64_t slice_bytes, void*& whole);
  virtual Readers readers() const { return Readers::owner; }

  // What this rank does from now on; the same on all ranks where they make the same call. Ranks that share memory show it to each other:
  // who waits too long can say for whom, and a collective that a rank has skipped is noticed at the next.
  virtual void tell(const Activity&) {}

  // For who frees memory that collectives may still use, above all while an exception unwinds. Returns when none is under
  // way on this rank, without waiting for peers: one that peers have not joined fails with PeerFailed, and so does every
  // collective after it. Where nothing is under way, nothing happens. The default is for backends whose Works are done
  // when they are returned.
  virtual void abandon() noexcept {}

  // Scratch of a reduction to slices of `slice_count` elements: two rounds of one piece per rank.
  int64_t reduce_scratch_bytes(int64_t slice_count, at::ScalarType dtype) const;
  // The piece: at most 1 MiB / N (but 4 KiB), in whole elements, and never more than the slice: it does not grow with
  // the model.
  int64_t reduce_piece_bytes(int64_t slice_count, at::ScalarType dtype) const;
};

}  // namespace zerorun
