#include "core/ops/dropout.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "core/error.h"
#include "core/gpu/gpu.h"
#include "core/ops/kernels/dropout_rows.h"
#include "core/ops/moved.h"
#include "core/random.h"

namespace zerorun::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kElementsPerTask = 1 << 13;

DropoutMask mask_of(double probability, const DropoutKey& key) {
  const auto draws = static_cast<uint32_t>(std::clamp<int64_t>(std::llround(probability * 65536), 0, 65535));
  const auto step = static_cast<uint64_t>(key.step);
  const auto words = philox4x32_10({static_cast<uint32_t>(step), static_cast<uint32_t>(step >> 32), key.site, 0},
                                   {static_cast<uint32_t>(key.seed), static_cast<uint32_t>(key.seed >> 32)});
  return {{words[0], words[1]}, draws, static_cast<float>(65536.0 / (65536.0 - draws))};
}

at::Tensor apply_mask(const at::Tensor& x, double probability, const DropoutKey& key) {
  auto out = at::empty_like(x);
  count_moved(x, out);
  if (x.is_meta()) return out;
  const auto mask = mask_of(probability, key);
  const int64_t size = x.numel() / x.size(0), tasks = (size + kElementsPerTask - 1) / kElementsPerTask;
  const auto bytes = static_cast<int64_t>(x.element_size());
  const auto* from = static_cast<const char*>(x.const_data_ptr());
  auto* to = static_cast<char*>(out.data_ptr());
  if (x.is_cuda()) {
    drop_elements(mask, x.scalar_type(), key.first_sample, x.size(0), size, from, to, gpu::current_stream());
    return out;
  }
  at::parallel_for(0, x.size(0) * tasks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t sample = task / tasks, first = task % tasks * kElementsPerTask, start = (sample * size + first) * bytes;
      drop_elements(mask, x.scalar_type(), key.first_sample + sample, first, std::min(kElementsPerTask, size - first), from + start, to + start);
    }
  });
  return out;
}

struct Dropout : torch::autograd::Function<Dropout> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, double probability, const DropoutKey& key) {
    auto& data = context->saved_data;
    data["probability"] = probability;
    data["seed"] = static_cast<int64_t>(key.seed);
    data["step"] = key.step;
    data["first_sample"] = key.first_sample;
    data["site"] = static_cast<int64_t>(key.site);
    return apply_mask(x, probability, key);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    auto& data = context->saved_data;
    const DropoutKey key{static_cast<uint64_t>(data["seed"].toInt()), data["step"].toInt(), data["first_sample"].toInt(),
                         static_cast<uint32_t>(data["site"].toInt())};
    return {apply_mask(gradients[0].contiguous(), data["probability"].toDouble(), key), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor dropout(const at::Tensor& x, double probability, const DropoutKey& key) {
  if (!(probability >= 0 && probability < 1)) {
    fail(ErrorKind::configuration, "a dropout probability of {}, expected one from 0 to below 1", probability);
  }
  return probability == 0 ? x : Dropout::apply(x, probability, key);
}

}  // namespace zerorun::ops
