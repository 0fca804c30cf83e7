#include "zero/control.h"

#include <algorithm>
#include <numeric>

#include "comm/gather.h"
#include "core/unit.h"

namespace zerorun {
namespace {

int64_t count_targets(const at::Tensor& targets) {
  if (targets.is_meta()) return targets.numel();
  const auto* target = targets.const_data_ptr<int64_t>();
  return targets.numel() - std::count(target, target + targets.numel(), kIgnoredTarget);
}

}  // namespace

int64_t total_targets(Communicator& communicator, std::span<const Batch> own) {
  int64_t count = 0;
  for (const auto& batch : own) count += count_targets(batch.targets);
  const auto all = gather(communicator, count);
  return std::accumulate(all.begin(), all.end(), int64_t{0});
}

StepSums sum_over_ranks(Communicator& communicator, StepSums own) {
  StepSums total;
  for (const auto& sums : gather(communicator, own)) {
    total.loss += sums.loss;
    total.squared_norm += sums.squared_norm;
  }
  return total;
}

}  // namespace zerorun
