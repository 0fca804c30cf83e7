// The factor that keeps the small gradients of fp16 from becoming zero: the loss is multiplied with it, the gradients are
// divided by it in the update. Dynamic: it doubles after a window of steps without overflow and halves after one, by the
// rules and defaults of DeepSpeed's DynamicLossScaler, so that a run's scale can be compared with one of its.
#pragma once
#include <cstdint>

namespace zerorun {

struct LossScaling {
  double loss_scale = 1;         // fixed; 0: dynamic
  int initial_scale_power = 16;  // a dynamic scale starts at 2^this
  int64_t loss_scale_window = 1000;
  int64_t hysteresis = 2;  // overflows before it halves
  double min_loss_scale = 1;
};

// Every rank has one, and tells it the same.
class LossScaler {
 public:
  explicit LossScaler(const LossScaling& options);

  double scale() const { return scale_; }
  bool is_dynamic() const { return options_.loss_scale == 0; }
  // After a step whose gradients were finite, or were not and so were dropped. REQUIRES is_dynamic(). Throws Error(non_finite)
  // where the scale overflows at its minimum.
  void step(bool finite);

 private:
  void overflow();

  LossScaling options_;
  double scale_;
  int64_t steps_ = 0;
  int64_t last_overflow_ = -1;
  int64_t hysteresis_left_;
};

}  // namespace zerorun
