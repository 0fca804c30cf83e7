#include "core/gpu/vector.cuh"
#include "core/philox.h"
#include "zero/gpu_flat_kernels.h"
#include "zero/update_rules.h"

namespace zerorun::kernels {
namespace {

using namespace gpu;

// Elements of a thread at a time: what is fp32 fills 16 bytes.
constexpr int kElements = 4;

// Rounds the parameters of elements i to i + kCount.
template <int kCount>
__device__ void round_at_random(const RandomRounding& rounding, int64_t i, const float (&parameter)[kCount], BFloat16 (&rounded)[kCount]) {
  std::array<uint32_t, 4> words{};
  int64_t drawn = -1;
  for (int k = 0; k < kCount; ++k) {
    const int64_t element = rounding.first_element + i + k;
    if (element / 4 != drawn) {
      drawn = element / 4;
      const auto counter = static_cast<uint64_t>(drawn);
      words = philox({static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), rounding.step, rounding.stream}, rounding.key);
    }
    const auto word = element % 4;
    const uint32_t random = word == 0 ? words[0] : word == 1 ? words[1] : word == 2 ? words[2] : words[3];
    rounded[k].bits = ops::narrow_to_bf16_at_random(parameter[k], random);
  }
}

struct ToNearest {};

// Rounded is float where nothing has to be rounded. Rounding is ToNearest or RandomRounding.
template <typename Gradient, typename Rounded, int kCount, typename Rounding>
__global__ void __launch_bounds__(kThreads) adamw_slice(FlatSlice slice, AdamWFactors factors, const UpdateControl* control, Rounding rounding) {
  if (control && control->accepted == 0) return;
  const float scale = control ? factors.gradient_scale * control->clip : factors.gradient_scale;
  const auto* gradients = static_cast<const Gradient*>(slice.gradient.data);
  for_each_group<kCount>(slice.count, [&](auto group, int64_t i) {
    constexpr int kHere = decltype(group)::value;
    float parameter[kHere], gradient[kHere], m[kHere], v[kHere];
    load(slice.parameter + i, parameter);
    load(gradients + i, gradient);
    load(slice.state[0] + i, m);
    load(slice.state[1] + i, v);
    for (int k = 0; k < kHere; ++k) {
      adamw_element(parameter[k], gradient[k], m[k], v[k], scale, i + k < slice.decay_count ? factors.decay : 1.0f, factors);
    }
    store(parameter, slice.parameter + i);
    store(m, slice.state[0] + i);
    store(v, slice.state[1] + i);
    if constexpr (std::is_same_v<Rounding, RandomRounding>) {
      Pack<BFloat16, kHere> rounded;
      round_at_random(rounding, i, parameter, rounded.numbers);
      *reinterpret_cast<Pack<BFloat16, kHere>*>(static_cast<BFloat16*>(slice.rounded.data) + i) = rounded;
    } else if constexpr (!std::is_same_v<Rounded, float>) {
      store(parameter, static_cast<Rounded*>(slice.rounded.data) + i);
    }
  });
}

template <typename Gradient, typename Rounded, int kCount, bool kMomentum>
__global__ void __launch_bounds__(kThreads) sgd_slice(FlatSlice slice, SgdFactors factors, const UpdateControl* control) {
  if (control && control->accepted == 0) return;
  const float scale = control ? factors.gradient_scale * control->clip : factors.gradient_scale;
  const auto* gradients = static_cast<const Gradient*>(slice.gradient.data);
  for_each_group<kCount>(slice.count, [&](auto group, int64_t i) {
    constexpr int kHere = decltype(group)::value;
    float parameter[kHere], gradient[kHere];
    [[maybe_unused]] float buffer[kHere];
    load(slice.parameter + i, parameter);
    load(gradients + i, gradient);
    if constexpr (kMomentum) load(slice.state[0] + i, buffer);
    for (int k = 0; k < kHere; ++k) {
      const float decay = i + k < slice.decay_count ? factors.weight_decay : 0.0f;
      if constexpr (kMomentum) {
        sgd_momentum_element(parameter[k], gradient[k], buffer[k], scale, decay, factors);
      } else {
        sgd_element(parameter[k], gradient[k], scale, decay, factors);
      }
    }
    store(parameter, slice.parameter + i);
    if constexpr (kMomentum) store(buffer, slice.state[0] + i);
    if constexpr (!std::is_same_v<Rounded, float>) store(parameter, static_cast<Rounded*>(slice.rounded.data) + i);
  });
}

// Runs body(gradient, rounded, group) for a slice's dtypes, where it has memory.
template <typename Body>
void with_slice(const FlatSlice& slice, Body&& body) {
  if (!slice.parameter || slice.count == 0) return;
  const bool in_groups = aligned({slice.parameter, slice.gradient.data, slice.rounded.data, slice.state[0], slice.state[1]});
  with_number(slice.gradient.dtype, [&](auto gradient) {
    with_number(slice.rounded.data ? slice.rounded.dtype : kFp32, [&](auto rounded) {
      with_group<kElements>(in_groups, [&](auto group) { body(gradient, rounded, group); });
    });
  });
}

}  // namespace

void adamw(const FlatSlice& slice, const AdamWFactors& factors, const UpdateControl* control, const RandomRounding& rounding, GpuStream stream) {
  with_slice(slice, [&](auto gradient, auto rounded, auto group) {
    using Gradient = decltype(gradient);
    using Rounded = decltype(rounded);
    constexpr int kCount = decltype(group)::value;
    const unsigned int blocks = blocks_for(slice.count / kCount, kThreads);
    if constexpr (std::is_same_v<Rounded, BFloat16>) {
      if (rounding.on) {
        return launch("adamw", adamw_slice<Gradient, Rounded, kCount, RandomRounding>, blocks, kThreads, stream, slice, factors, control, rounding);
      }
    } else if (rounding.on) {
      fail_dtype(slice.rounded.data ? slice.rounded.dtype : kFp32);
    }
    launch("adamw", adamw_slice<Gradient, Rounded, kCount, ToNearest>, blocks, kThreads, stream, slice, factors, control, ToNearest{});
  });
}

void sgd(const FlatSlice& slice, const SgdFactors& factors, const UpdateControl* control, GpuStream stream) {
  with_slice(slice, [&](auto gradient, auto rounded, auto group) {
    using Gradient = decltype(gradient);
    using Rounded = decltype(rounded);
    constexpr int kCount = decltype(group)::value;
    const unsigned int blocks = blocks_for(slice.count / kCount, kThreads);
    const auto kernel = factors.momentum != 0 ? sgd_slice<Gradient, Rounded, kCount, true> : sgd_slice<Gradient, Rounded, kCount, false>;
    launch("sgd", kernel, blocks, kThreads, stream, slice, factors, control);
  });
}

}  // namespace zerorun::kernels
