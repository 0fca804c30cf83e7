#include "zero/optimizer.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "core/gpu/gpu.h"
#include "zero/flat_kernels.h"
#include "zero/flat_span.h"
#include "zero/gpu_flat_kernels.h"

namespace zerorun {
namespace {

constexpr int64_t kElementsPerTask = 1 << 15;

// Runs part(begin, end, decays) over the slice, in parallel, where it has memory.
template <typename Part>
void for_each_part(const FlatSlice& slice, Part&& part) {
  if (!slice.parameter) return;
  const auto run = [&](int64_t first, int64_t last, bool decays) {
    at::parallel_for(first, last, kElementsPerTask, [&](int64_t begin, int64_t end) { part(begin, end, decays); });
  };
  run(0, slice.decay_count, true);
  run(slice.decay_count, slice.count, false);
}

// Elements [begin, begin + count) of what the parameters are rounded to.
void round_block(const FlatSlice& slice, int64_t begin, int64_t count) {
  if (slice.rounded.data) round_block(slice.parameter + begin, slice.rounded.part(begin, count), slice.rounding.from(begin));
}

// Runs kernel(begin, gradient, count, decays) over blocks of the slice, whose gradients are handed in as fp32, and rounds the
// parameters that it leaves.
template <typename Kernel>
void for_each_block(const FlatSlice& slice, Kernel&& kernel) {
  for_each_part(slice, [&](int64_t part_begin, int64_t part_end, bool decays) {
    float block[kFlatBlock];
    for (int64_t begin = part_begin; begin < part_end; begin += kFlatBlock) {
      const int64_t count = std::min(kFlatBlock, part_end - begin);
      kernel(begin, read_block(slice.gradient, begin, count, block), count, decays);
      round_block(slice, begin, count);
    }
  });
}

class AdamW final : public Optimizer {
 public:
  explicit AdamW(const AdamWOptions& options) : options_(options) {}

  int state_count() const override { return 2; }

  void update(const FlatSlice& slice, const UpdateArguments& arguments) const override {
    const double step = static_cast<double>(arguments.step);
    const double correction1 = 1 - std::pow(options_.beta1, step), correction2 = 1 - std::pow(options_.beta2, step);
    const auto factors_of = [&](bool decays) {
      return kernels::AdamWFactors{
          .gradient_scale = static_cast<float>(arguments.gradient_scale),
          .decay = static_cast<float>(decays ? 1 - arguments.lr * options_.weight_decay : 1),
          .beta1 = static_cast<float>(options_.beta1),
          .one_minus_beta1 = static_cast<float>(1 - options_.beta1),
          .beta2 = static_cast<float>(options_.beta2),
          .one_minus_beta2 = static_cast<float>(1 - options_.beta2),
          .step_size = static_cast<float>(arguments.lr / correction1),
          .inverse_correction2 = static_cast<float>(1 / std::sqrt(correction2)),
          .eps = static_cast<float>(options_.eps),
      };
    };
    if (slice.gradient.side == Side::gpu) return kernels::adamw(slice, factors_of(true), arguments.control, gpu::current_stream());
    const auto adamw = kernels::flat_kernels().adamw;
    if (!slice.rounding.at_random) return for_each_part(slice, [&](int64_t begin, int64_t end, bool decays) { adamw(slice, begin, end, factors_of(decays)); });
    FlatSlice masters = slice;
    masters.rounded = {};
    for_each_part(slice, [&](int64_t first, int64_t last, bool decays) {
      for (int64_t begin = first; begin < last; begin += kFlatBlock) {
        const int64_t end = std::min(begin + kFlatBlock, last);
        adamw(masters, begin, end, factors_of(decays));
        round_block(slice, begin, end - begin);
      }
    });
  }

 private:
  AdamWOptions options_;
};

class Sgd final : public Optimizer {
 public:
  explicit Sgd(const SgdOptions& options) : options_(options) {}

  int state_count() const override { return options_.momentum != 0 ? 1 : 0; }

  void update(const FlatSlice& slice, const UpdateArguments& arguments) const override {
    const auto factors_of = [&](bool decays) {
      return kernels::SgdFactors{
          .gradient_scale = static_cast<float>(arguments.gradient_scale),
          .weight_decay = static_cast<float>(decays ? options_.weight_decay : 0),
          .lr = static_cast<float>(arguments.lr),
          .momentum = static_cast<float>(options_.momentum),
      };
    };
    if (slice.gradient.side == Side::gpu) return kernels::sgd(slice, factors_of(true), arguments.control, gpu::current_stream());
    for_each_block(slice, [&](int64_t begin, const float* gradient, int64_t count, bool decays) {
      const auto factors = factors_of(decays);
      if (state_count() == 0) {
        kernels::flat_kernels().sgd(slice.parameter + begin, gradient, count, factors);
      } else {
        kernels::flat_kernels().sgd_momentum(slice.parameter + begin, gradient, slice.state[0] + begin, count, factors);
      }
    });
  }

 private:
  SgdOptions options_;
};

}  // namespace

std::unique_ptr<Optimizer> make_adamw(const AdamWOptions& options) { return std::make_unique<AdamW>(options); }
std::unique_ptr<Optimizer> make_sgd(const SgdOptions& options) { return std::make_unique<Sgd>(options); }

}  // namespace zerorun
