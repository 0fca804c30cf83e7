#include "zero/gpu_decision.h"

#include <ATen/ops/empty.h>

#include "core/gpu/gpu.h"
#include "core/ops/kernels/add_up.h"
#include "offload/host_store.h"
#include "zero/flat_span.h"

namespace zerorun {

GpuDecision::GpuDecision(Communicator& communicator, MemoryLedger& ledger, at::Device device) : communicator_(communicator) {
  const MemoryScope scope(ledger, Category::communication);
  const auto make = [device](int64_t count) { return at::empty({count}, at::TensorOptions().dtype(at::kDouble).device(device)); };
  own_ = make(2);
  all_ = make(2 * communicator.size());
  control_ = make(1);
  host_ = take_host_memory(static_cast<int64_t>(all_.nbytes()), ledger, device.is_meta());
}

const UpdateControl* GpuDecision::control() const { return static_cast<const UpdateControl*>(span_of(control_).data); }

void GpuDecision::decide(const std::vector<at::Tensor>& losses, const NormsOfGroups& norms, const DecisionRule& rule) {
  const Span own = span_of(own_), all = span_of(all_);
  fill_zero(own);
  if (auto* const sums = static_cast<double*>(own.data)) {
    for (const auto& loss : losses) ops::add_up(loss.const_data_ptr<double>(), 1, sums, gpu::current_stream());
    norms.add_up_on_gpu(sums + 1);
  }
  communicator_.all_gather(own, all).wait();
  if (!all.data) return;
  kernels::decide_update(static_cast<const double*>(all.data), communicator_.size(), rule, static_cast<UpdateControl*>(span_of(control_).data), gpu::current_stream());
  copy(all, {host_->data(), all.count, all.dtype});
  copied_ = gpu::record();
}

StepSums GpuDecision::wait() {
  StepSums total;
  if (!host_->data()) return total;
  copied_.finish();
  const auto* const sums = reinterpret_cast<const double*>(host_->data());
  for (int r = 0; r < communicator_.size(); ++r) {
    total.loss += sums[2 * r];
    total.squared_norm += sums[2 * r + 1];
  }
  return total;
}

}  // namespace zerorun
