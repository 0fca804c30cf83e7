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
#include <optional>
#include <utility>
#include <vector>

#include "comm/communicator.h"
#include "core/memory.h"
#include "core/model.h"
#include "core/trace.h"
#include "core/weights/parameter_source.h"
#include "zero/gradient_norm.h"
#include "zero/group_layout.h"
#include "zero/optimizer.h"
#include "zero/precision.h"
#include "zero/sharding.h"
#include "zero/sleeping_group.h"

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
  Trace* trace = nullptr;                    // gets updates that are done when weights are fetched
};

// Where a micro-batch stands in its step.
struct MicroBatchPlace {
  bool first = true, last = true;
};

// A place in a slot buffer; null on the meta device.
using Slot = void*;
inline Slot at_offset(const at::Tensor& slots, int64_t offset) {
  return !slots.defined() || slots.is_meta() ? nullptr : static_cast<char*>(slots.data_ptr()) + offset;
}

class ParamGroup {
 public:
  // Allocates what is resident and fills the parameters from the counters or from `initial`: no rank needs another's, or the
  // whole model. `sleeping`: what is not resident; null where all is. REQUIRES that `declaration`, `communicator` and `sleeping` outlive this
  // (its destruction does not need them); `initial` is not used afterwards.
  ParamGroup(const ParameterGroup& declaration, Communicator& communicator, MemoryLedger& ledger, const ParamGroupOptions& options,
             SleepingGroup* sleeping = nullptr);

  const ParameterGroup& declaration() const { return declaration_; }
  const GroupLayout& layout() const { return layout_; }
  bool trainable() const { return declaration_.trainable && !options_.inference; }
  // Elements that this rank updates, and whether that is beside the computation.
  int64_t updated_count() const { return !trainable() ? 0 : options_.sharding.optimizer ? layout_.slice_count() : layout_.padded_count(); }
  bool updates_beside() const { return state_sleeps(); }
  // Of the slot that gather() needs: nothing where slices lie side by side in memory that ranks share.
  // Nor on one rank where the slice, which is the whole, is uploaded to a slot of its own.
  int64_t gather_slot_bytes() const { return shares_slices() || is_whole() ? 0 : flat_bytes(); }
  int64_t upload_slot_bytes() const { return weights_sleep() ? layout_.slice_count() * options_.precision.parameter_bytes() : 0; }
  int64_t gradient_slot_bytes() const { return uses_gradient_slot() ? layout_.padded_count() * options_.precision.gradient_slot_bytes() : 0; }
  int64_t reduce_scratch_bytes() const;
  // Leaves that require grad, unless they are frozen. Readable between gather (or always, if resident) and reshard.
  const at::Tensor& weight(int parameter) const { return weights_[parameter]; }

  // Where the weights sleep: starts to bring this rank's slice to `slot`, once `after` has happened. It is wanted by the next gather.
  void fetch(Slot slot, const Event& after);
  // Collective: waits for the slice, where it has been fetched; starts the all-gather of the slices into `slot`, or to where they lie together, and lets the weights point there. Sends
  // (N-1) slices.
  Work gather(Slot slot);
  void reshard();
  // Collective: where weights are resident that were updated elsewhere, they are as after the update from now on. gather() does it too.
  void settle();
  // Of the upload slot, where the last gather updated the slice in it: it has been taken back from there. Asked once for each.
  std::optional<Event> written_back() { return std::exchange(written_back_, {}); }

  // Before the first part of a micro-batch's gradient: lets the weights' .grad point into `slot` where gradients pass
  // through one; elsewhere into the resident gradient. There is nothing in it for the first micro-batch of a step, and in a slot: zeros, or
  // what ops/gradient.h calls unwritten where all that write to it know that.
  void open_gradients(Slot slot, MicroBatchPlace place, bool unwritten);
  // After the last part of a micro-batch's gradient: what passed through a slot is converted to the dtype of the sum, and
  // kept, or summed over ranks where the sharding sums each micro-batch. Collective where a sum starts: after the last
  // micro-batch at the latest. The result is there when the Work has been waited for.
  // `norms`, `group`: as of take_squared_norm(). REQUIRES that `norms` were restarted since the last step, and outlive the Work.
  Work reduce(Span scratch, MicroBatchPlace place, NormsOfGroups& norms, size_t group);
  // Collective: after the last micro-batch, makes resident full gradients whole that were summed slice by slice.
  Work share_gradients();
  // Of the gradient slot, where summed gradients sleep: what computes next comes after the last has left it.
  void wait_until_landed() const {
    if (state_sleeps()) sleeping_->wait_until_landed();
  }

  // Of the summed gradient in this rank's slice, fp64. It may have been taken while that was summed, or before it went to sleep.
  void take_squared_norm(NormsOfGroups& norms, size_t group) const;
  // Now; or beside what follows, where the states sleep; or when the weights are next fetched, where only those sleep.
  void update(const Optimizer& optimizer, const UpdateArguments& arguments);
  // Collective: after an update of slices, makes resident full parameters whole again.
  Work publish();

  enum class Content { parameters, gradients };
  // Collective: the whole of the flat buffer as fp32, of the masters where there are any: a copy of padded_count() elements
  // charged to the caller's scope.
  // Parameters are flushed first.
  at::Tensor read_whole(Content content, Slot slot);
  // Collective: does what updates have left to do, and waits for it. `slot`: where a slice may be fetched to that is updated on the device.
  void flush(Slot slot);

 private:
  void allocate(MemoryLedger& ledger);
  void create_views();
  void initialise();
  bool uses_gradient_slot() const;
  // One rank's slice is the whole.
  bool is_whole() const { return communicator_.size() == 1; }
  // One copy serves all ranks of a host, at every stage whose ranks update slices of their own.
  bool shares_slices() const { return options_.sharding.optimizer && communicator_.readers() == Readers::all && !weights_sleep(); }
  bool weights_sleep() const { return sleeping_ && sleeping_->has_weights(); }
  bool state_sleeps() const { return sleeping_ && sleeping_->has_state(); }
  bool keeps_parameter_slice() const { return options_.sharding.parameters || shares_slices(); }
  int64_t first_updated() const { return options_.sharding.optimizer ? communicator_.rank() * layout_.slice_count() : 0; }
  Side side() const { return options_.device.is_cuda() ? Side::gpu : Side::host; }
  Span whole_parameters(void* data) const { return {data, layout_.padded_count(), options_.precision.parameters, side()}; }
  int64_t flat_bytes() const { return layout_.padded_count() * options_.precision.parameter_bytes(); }
  at::TensorOptions options_of(at::ScalarType dtype) const { return at::TensorOptions().dtype(dtype).device(options_.device); }
  void finish_fetch();
  Work reduce_and_land(Span part, Span scratch, MicroBatchPlace place, NormsOfGroups& norms, size_t group);
  Rounding rounding_of(int64_t step) const;
  void update_resident(const Optimizer& optimizer, const UpdateArguments& arguments);
  Work publish_slices();
  Span own_weights() const;
  at::Tensor read_sleeping(Content content) const;
  Span whole(const at::Tensor& resident) const;
  at::Tensor own_slice(const at::Tensor& resident, bool sharded) const;
  at::Tensor updated_part(const at::Tensor& resident, bool sharded) const;
  Span unsummed_gradient();
  void leave_gradients_unwritten(Span flat);
  Work sum_over_ranks(Span full, Span slice, Span scratch, const NormsOfGroups& norms);
  void accumulate(Span part, const at::Tensor& sum, bool first) const;
  void point(at::Storage& storage, void* data) const;

  const ParameterGroup& declaration_;
  Communicator& communicator_;
  ParamGroupOptions options_;
  SleepingGroup* sleeping_;  // null: nothing sleeps
  GroupLayout layout_;
  at::Tensor parameters_;           // flat, whole or own slice
  void* side_by_side_ = nullptr;    // the slices of all ranks, where they share memory
  at::Tensor master_;               // fp32, what the optimizer updates; undefined where the parameters themselves are fp32
  at::Tensor gradients_;            // flat, whole or own slice
  std::vector<at::Tensor> states_;  // flat, whole or own slice
  at::Storage weight_storage_;      // what the weights are views of
  at::Storage gradient_storage_;    // what their .grad are views of
  std::vector<at::Tensor> weights_;
  Slot gradient_slot_ = nullptr;
  // How the squared norm of this step's gradient is known: at the end from what is resident, from squares_, once that has landed, or it has been taken.
  enum class SquaredNorm { resident, summed, landing, taken };
  SquaredNorm squared_norm_ = SquaredNorm::resident;
  SumOfSquares squares_;  // of this rank's slice of the gradient
  struct DueUpdate {
    const Optimizer* optimizer;
    UpdateArguments arguments;
  };
  std::optional<DueUpdate> due_;  // of weights that sleep, whose states are on the device
  bool unsettled_ = false;        // resident weights: updated elsewhere, and not here yet
  Span uploaded_;                 // the slice in its upload slot
  std::optional<Event> written_back_;
};

}  // namespace zerorun
