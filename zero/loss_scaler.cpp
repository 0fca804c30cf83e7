#include "zero/loss_scaler.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace zerorun {

LossScaler::LossScaler(const LossScaling& options)
    : options_(options),
      scale_(options.loss_scale > 0 ? options.loss_scale : std::ldexp(1.0, options.initial_scale_power)),
      hysteresis_left_(options.hysteresis) {}

void LossScaler::step(bool finite) {
  ZR_CHECK(is_dynamic(), "a fixed loss scale of {} does not move", scale_);
  if (!finite) {
    overflow();
  } else if ((steps_ - last_overflow_) % options_.loss_scale_window == 0) {
    hysteresis_left_ = options_.hysteresis;
    scale_ *= 2;
  }
  ++steps_;
}

void LossScaler::overflow() {
  if (hysteresis_left_ > 1) {
    --hysteresis_left_;
  } else {
    if (scale_ <= options_.min_loss_scale) {
      fail(ErrorKind::non_finite,
           "gradients overflow at the smallest loss scale, {}: the run diverges, or fp16 is too narrow for it; a lower learning rate or "
           "precision.param_dtype bf16 often helps",
           scale_);
    }
    scale_ = std::max(scale_ / 2, options_.min_loss_scale);
  }
  last_overflow_ = steps_;
}

}  // namespace zerorun
