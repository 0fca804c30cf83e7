// Ranks are GPUs, one to a process: NCCL moves bytes from GPU to GPU, on a stream of its own beside the computation. Nothing is copied in or out, and no thread of the
// host waits for a collective: it comes after what the calling thread has launched, and Work::wait() puts what that launches next behind it.
//
// Since nobody waits, a watchdog does: it sees a collective that peers do not come to, and what NCCL reports, and ends both (README.md, NCCL).
#pragma once
#include <exception>
#include <functional>
#include <memory>
#include <string>

#include "comm/communicator.h"
#include "core/gpu/handle.h"

namespace zerorun {

class NcclGroup;
class SlabMemory;

struct NcclOptions {
  double timeout_seconds = 0;     // from where a collective could start on this rank; 0: none
  bool strict = true;             // the one sum of communicator.h; without, NCCL's own, whose order depends on the ranks, their links and the size
  bool allow_shared_gpu = false;  // two ranks on one GPU, which only newer NCCL can do
  bool register_buffers = true;   // what allocate() gives is known to NCCL: peers read it in place
  int first_rank = 0;             // the number of the group's first rank among all, in what is said
  // Called once, with a failure that no call has thrown: perhaps no call will, or the thread that unwinds cannot, as NCCL does not end what is under way. On another
  // thread, or that one. After it the collectives are ended, so that the GPU can be waited for, with results that are none: a program ends its job in here.
  std::function<void(std::exception_ptr)> on_failure = {};
};

// Spans are of the GPU; from or to buffers of allocate() they must lie at the same offset on all ranks, but for an own slice in place. Errors: timeout; io and
// configuration for what NCCL says; PeerFailed where it says that a peer is gone. Then, and after abandon() found some under way, nothing runs any more.
// One thread of a rank makes its calls; Works and buffers may go on any, and outlive it.
class NcclCommunicator : public Communicator {
 public:
  // Collective over `control`, whose ranks these are: it carries exchange() and what ranks agree on. On the GPU that this thread computes on. Throws
  // Error(configuration) where the NCCL that is loaded is older than zerorun's, or ranks share a GPU; Error(timeout). REQUIRES: `control` outlives it.
  explicit NcclCommunicator(Communicator& control, NcclOptions options = {});
  // Waits for what was issued, but not for ever: what peers do not come to is ended.
  ~NcclCommunicator() override;

  int rank() const override { return control_.rank(); }
  int size() const override { return control_.size(); }
  Work all_gather(Span slice, Span full) override;
  Work reduce_scatter(Span full, Span slice, Span scratch, OnBlock on_block) override;
  Work all_reduce(Span full, Span scratch) override;
  void exchange(const void* mine, void* all, int64_t bytes) override { control_.exchange(mine, all, bytes); }
  // In slabs (slab_memory.h), whose pages are those of the GPU; charged are `bytes`. Its end waits for the GPU.
  at::Tensor allocate(int64_t bytes) override;
  // The least that NCCL allocates here. Collective: of all ranks the least, since they cut their slabs alike.
  int64_t slab_bytes();
  // What NCCL takes of the GPU it takes at its first collectives: after this it has. Collective.
  void use_once();
  Readers readers() const override { return group_ ? Readers::gpus : Readers::owner; }
  void tell(const Activity& activity) override;
  // Gives what peers have joined a moment to end.
  void abandon() noexcept override;

 private:
  void sum_strictly(const std::string& what, Span full, Span slice, Span scratch, GpuStream stream);

  Communicator& control_;
  const NcclOptions options_;
  const int exceptions_at_start_ = std::uncaught_exceptions();
  Activity activity_;
  std::shared_ptr<NcclGroup> group_;  // none where the rank is alone
  std::shared_ptr<SlabMemory> slabs_;
};

}  // namespace zerorun
