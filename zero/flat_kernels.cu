#include "core/gpu/vector.cuh"
#include "zero/gpu_flat_kernels.h"
#include "zero/random_words.h"
#include "zero/update_rules.h"

namespace zerorun::kernels {
namespace {

using namespace gpu;

// Elements of a thread at a time: what is fp32 fills 16 bytes.
constexpr int kElements = 4;

// Writes the parameters of elements [i, i + kCount) where they have to be rounded.
template <typename Rounded, bool kAtRandom, int kCount>
__device__ void store_rounded(const FlatSlice& slice, int64_t i, const float (&parameter)[kCount]) {
  if constexpr (kAtRandom) {
    const auto& rounding = slice.rounding;
    Pack<BFloat16, kCount> rounded;
    std::array<uint32_t, 4> words{};
    int64_t drawn = -1;
    for (int k = 0; k < kCount; ++k) {
      const int64_t element = rounding.first_element + i + k;
      if (element / 4 != drawn) {
        drawn = element / 4;
        words = words_of(rounding, static_cast<uint64_t>(drawn));
      }
      const auto word = element % 4;
      const uint32_t random = word == 0 ? words[0] : word == 1 ? words[1] : word == 2 ? words[2] : words[3];
      rounded.numbers[k].bits = ops::narrow_to_bf16_at_random(parameter[k], random);
    }
    *reinterpret_cast<Pack<BFloat16, kCount>*>(static_cast<BFloat16*>(slice.rounded.data) + i) = rounded;
  } else if constexpr (!std::is_same_v<Rounded, float>) {
    store(parameter, static_cast<Rounded*>(slice.rounded.data) + i);
  }
}

// Rounded is float where nothing has to be rounded.
template <typename Gradient, typename Rounded, int kCount, bool kAtRandom>
__global__ void __launch_bounds__(kThreads) adamw_slice(FlatSlice slice, AdamWFactors factors, const UpdateControl* control) {
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
    store_rounded<Rounded, kAtRandom>(slice, i, parameter);
  });
}

template <typename Gradient, typename Rounded, int kCount, bool kAtRandom, bool kMomentum>
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
    store_rounded<Rounded, kAtRandom>(slice, i, parameter);
  });
}

// Runs body(gradient, rounded, at_random, group) for a slice's dtypes and rounding, where it has memory.
template <typename Body>
void with_slice(const FlatSlice& slice, Body&& body) {
  if (!slice.parameter || slice.count == 0) return;
  const bool in_groups = aligned({slice.parameter, slice.gradient.data, slice.rounded.data, slice.state[0], slice.state[1]});
  const auto rounded_to = slice.rounded.data ? slice.rounded.dtype : kFp32;
  if (slice.rounding.at_random && rounded_to != kBf16) fail_dtype(rounded_to);
  with_number(slice.gradient.dtype, [&](auto gradient) {
    with_number(rounded_to, [&](auto rounded) {
      with_group<kElements>(in_groups, [&](auto group) {
        if constexpr (std::is_same_v<decltype(rounded), BFloat16>) {
          if (slice.rounding.at_random) return body(gradient, rounded, std::true_type(), group);
        }
        body(gradient, rounded, std::false_type(), group);
      });
    });
  });
}

}  // namespace

void adamw(const FlatSlice& slice, const AdamWFactors& factors, const UpdateControl* control, GpuStream stream) {
  with_slice(slice, [&](auto gradient, auto rounded, auto at_random, auto group) {
    constexpr int kCount = decltype(group)::value;
    const auto kernel = adamw_slice<decltype(gradient), decltype(rounded), kCount, decltype(at_random)::value>;
    launch("adamw", kernel, blocks_for(slice.count / kCount, kThreads), kThreads, stream, slice, factors, control);
  });
}

void sgd(const FlatSlice& slice, const SgdFactors& factors, const UpdateControl* control, GpuStream stream) {
  with_slice(slice, [&](auto gradient, auto rounded, auto at_random, auto group) {
    using Gradient = decltype(gradient);
    using Rounded = decltype(rounded);
    constexpr int kCount = decltype(group)::value;
    constexpr bool kAtRandom = decltype(at_random)::value;
    const auto kernel = factors.momentum != 0 ? sgd_slice<Gradient, Rounded, kCount, kAtRandom, true> : sgd_slice<Gradient, Rounded, kCount, kAtRandom, false>;
    launch("sgd", kernel, blocks_for(slice.count / kCount, kThreads), kThreads, stream, slice, factors, control);
  });
}

}  // namespace zerorun::kernels
