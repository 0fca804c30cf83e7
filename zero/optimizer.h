// Optimizers: functions of flat slices. They know nothing of groups, stages or ranks; every argument of an update is
// passed in, so that it can be repeated or deferred exactly. The bits do not depend on where a slice begins or on the
// instruction set: no contraction, no reduction, correctly rounded operations only.
#pragma once
#include <cstdint>
#include <memory>

#include "zero/flat_slice.h"
#include "zero/update_control.h"

namespace zerorun {

struct UpdateArguments {
  int64_t step = 1;           // 1 for the first update
  double lr = 0;
  double gradient_scale = 1;  // the clip factor over the loss scale
  const UpdateControl* control = nullptr;  // on a GPU: more of the clip factor, and whether anything is updated; null: all is said above
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  // fp32 states per parameter, all zero before the first update.
  virtual int state_count() const = 0;
  virtual void update(const FlatSlice& slice, const UpdateArguments& arguments) const = 0;
};

// Decoupled weight decay (Loshchilov and Hutter 2019): p *= 1 - lr wd; m, v as in Adam;
// p -= lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps). 8 bytes of state, one pass over memory: 28 bytes
// of traffic per parameter in fp32, and also with gradients and parameters in bf16.
struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-8;
  double weight_decay = 0.1;
};
std::unique_ptr<Optimizer> make_adamw(const AdamWOptions& options);

// g += wd p; with momentum b = momentum b + g, p -= lr b; without it p -= lr g and no state.
struct SgdOptions {
  double momentum = 0;
  double weight_decay = 0;
};
std::unique_ptr<Optimizer> make_sgd(const SgdOptions& options);

}  // namespace zerorun
