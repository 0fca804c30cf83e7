// What a step on a GPU decides there: whether its gradient counts, and by how much it is clipped. So the update is launched right behind the norm, and the host,
// which wants to know both too, waits while it runs.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>

#include "comm/communicator.h"
#include "core/event.h"
#include "core/memory.h"
#include "offload/store.h"
#include "zero/control.h"
#include "zero/gradient_norm.h"
#include "zero/update_control.h"

namespace zerorun {

class GpuDecision {
 public:
  // `device`: a GPU, or the meta device that stands for one. 16 (N + 1) + 8 bytes there, charged to communication, and as many of pinned host memory. REQUIRES that
  // communicator and ledger outlive it.
  GpuDecision(Communicator& communicator, MemoryLedger& ledger, at::Device device);

  // Launches all of it: the sums of this rank's losses (fp64 scalars) and norms, those of all ranks, the decision. Collective: an all-gather of 16 bytes.
  void decide(const std::vector<at::Tensor>& losses, const NormsOfGroups& norms, const DecisionRule& rule);
  // For updates that are launched after decide(). Null on the meta device.
  const UpdateControl* control() const;
  // The sums over all ranks that the last decision was made from, in rank order. Blocks until they are there, not until what was launched later is done.
  StepSums wait();

 private:
  Communicator& communicator_;
  at::Tensor own_, all_, control_;  // fp64 [2], fp64 [2 N], 8 bytes
  std::unique_ptr<Store> host_;     // all_, for the host
  Event copied_;
};

}  // namespace zerorun
