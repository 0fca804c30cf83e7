// A group's parameters on this rank: what is resident by the sharding, and the verbs gather, reshard, reduce, update,
// publish. Weights are views that stay the same tensors for the whole run; only the memory behind them changes.
//
// Bytes resident, P = padded elements, N = ranks, e_p and e_r = bytes of the dtypes of parameters and gradients:
// parameters e_p P, gradients e_r P, optimizer 4 P per state and 4 P for the master where parameters are not fp32; each
// of them over N where it is sharded, and the parameters too where all ranks read one copy and update slices of it. A frozen group has parameters only, and so
// has every group of an engine for inference.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "comm/communicator.h"
#include "core/memory.h"
#include "core/model.h"
#include "core/weights/parameter_source.h"
#include "zero/gradient_norm.h"
#include "zero/group_layout.h"
#include "zero/optimizer.h"
#include "zero/precision.h"
#include "zero/sharding.h"

namespace zerorun {

// A registered buffer, all zero: its pages are there from the start and the process holds what the ledger says.
at::Tensor allocate_touched(Communicator& communicator, int64_t bytes);

struct ParamGroupOptions {
  Sharding sharding;
  Precision precision = {};
  at::Device device = at::kCPU;
  uint64_t seed = 0;
  int optimizer_states = 0;
  const ParameterSource* initial = nullptr;  // null: from the counters
  bool inference = false;                    // parameters only, as if all were frozen
};

// Where a micro-batch stands in its step.
struct MicroBatchPlace {
  bool first = true, last = true;
};

// A place in a slot buffer. `data` is null on the meta device.
using Slot = void*;

class ParamGroup {
 public:
  // Allocates what is resident and fills the parameters from the counters or from `initial`: no rank needs another's, or the
  // whole model. REQUIRES that `declaration` and `communicator` outlive this; `initial` is not used afterwards.
  ParamGroup(const ParameterGroup& declaration, Communicator& communicator, MemoryLedger& ledger, const ParamGroupOptions& options);

  const ParameterGroup& declaration() const { return declaration_; }
  const GroupLayout& layout() const { return layout_; }
  bool trainable() const { return declaration_.trainable && !options_.inference; }
  // Of the slot that gather() needs: nothing where slices lie side by side in memory that ranks share.
  int64_t gather_slot_bytes() const { return shares_slices() ? 0 : flat_bytes(); }
  int64_t gradient_slot_bytes() const { return layout_.padded_count() * options_.precision.gradient_slot_bytes(); }
  int64_t reduce_scratch_bytes() const;
  // Leaves that require grad, unless they are frozen. Readable between gather (or always, if resident) and reshard.
  const at::Tensor& weight(int parameter) const { return weights_[parameter]; }

  // Collective: starts the all-gather of the slices into `slot`, or to where they lie together, and lets the weights point there. Sends
  // (N-1) slices.
  Work gather(Slot slot);
  void reshard();

  // Before the first part of a micro-batch's gradient: lets the weights' .grad point into `slot` where gradients pass
  // through one; elsewhere into the resident gradient. There is nothing in it for the first micro-batch of a step, and in a slot: zeros, or
  // what ops/gradient.h calls unwritten where all that write to it know that.
  void open_gradients(Slot slot, MicroBatchPlace place, bool unwritten);
  // After the last part of a micro-batch's gradient: what passed through a slot is converted to the dtype of the sum, and
  // kept, or summed over ranks where the sharding sums each micro-batch. Collective where a sum starts: after the last
  // micro-batch at the latest. The result is there when the Work has been waited for.
  Work reduce(Span scratch, MicroBatchPlace place);
  // Collective: after the last micro-batch, makes resident full gradients whole that were summed slice by slice.
  Work share_gradients();

  // Of the summed gradient in this rank's slice, fp64. Taken while it was summed, where that sum was the last.
  double squared_gradient_norm() const;
  void update(const Optimizer& optimizer, const UpdateArguments& arguments);
  // Collective: after an update of slices, makes resident full parameters whole again.
  Work publish();

  enum class Content { parameters, gradients };
  // Collective: the whole of the flat buffer as fp32, of the masters where there are any: a copy of padded_count() elements
  // charged to the caller's scope.
  at::Tensor read_whole(Content content) const;

 private:
  void allocate(MemoryLedger& ledger);
  void create_views();
  void initialise();
  bool uses_gradient_slot() const;
  // One copy serves all ranks of a host, at every stage whose ranks update slices of their own.
  bool shares_slices() const { return options_.sharding.optimizer && communicator_.readers() == Readers::all; }
  bool keeps_parameter_slice() const { return options_.sharding.parameters || shares_slices(); }
  Span whole_parameters(void* data) const { return {data, layout_.padded_count(), options_.precision.parameters}; }
  int64_t flat_bytes() const { return layout_.padded_count() * options_.precision.parameter_bytes(); }
  void fill_parameters(const at::Tensor& flat, bool sharded) const;
  Span whole(const at::Tensor& resident) const;
  at::Tensor own_slice(const at::Tensor& resident, bool sharded) const;
  at::Tensor updated_part(const at::Tensor& resident, bool sharded) const;
  Span unsummed_gradient();
  void leave_gradients_unwritten(void* flat);
  Work sum_over_ranks(Span full, Span slice, Span scratch);
  void accumulate(Span part, const at::Tensor& sum, bool first) const;
  void point(at::Storage& storage, void* data) const;

  const ParameterGroup& declaration_;
  Communicator& communicator_;
  ParamGroupOptions options_;
  GroupLayout layout_;
  at::Tensor parameters_;           // flat, whole or own slice
  void* side_by_side_ = nullptr;    // the slices of all ranks, where they share memory
  at::Tensor master_;               // fp32, what the optimizer updates; the parameters themselves where they are fp32
  at::Tensor gradients_;            // flat, whole or own slice
  std::vector<at::Tensor> states_;  // flat, whole or own slice
  at::Storage weight_storage_;      // what the weights are views of
  at::Storage gradient_storage_;    // what their .grad are views of
  std::vector<at::Tensor> weights_;
  Slot gradient_slot_ = nullptr;
  SumOfSquares squares_;         // of this rank's slice of the gradient
  bool knows_squares_ = false;  // of this step
};

}  // namespace zerorun
