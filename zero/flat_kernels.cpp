#include "zero/flat_kernels.h"

#include <algorithm>
#include <type_traits>

#include "core/ops/kernels/number.h"
#include "zero/random_words.h"
#include "zero/update_rules.h"

namespace zerorun::kernels {
namespace {

// Four or five streams are more than the processor's prefetcher follows well. 1 KiB ahead of fp32; past the end it does nothing.
constexpr int64_t kStep = 32, kAhead = 256;

template <typename Number>
ZR_INLINE void prefetch(const Number* step) {
  constexpr int64_t kLine = 64;
  const char* ahead = reinterpret_cast<const char*>(step + kAhead);
  for (int64_t byte = 0; byte < static_cast<int64_t>(kStep * sizeof(Number)); byte += kLine) __builtin_prefetch(ahead + byte);
}

// Elements [begin, begin + count). Rounded is float where nothing has to be rounded.
template <typename Gradient, typename Rounded>
ZR_INLINE void adamw_step(float* __restrict parameter, const Gradient* __restrict gradient, float* __restrict m, float* __restrict v,
                          Rounded* __restrict rounded, int64_t begin, int64_t count, const AdamWFactors& f) {
  for (int64_t k = 0; k < count; ++k) {
    const int64_t i = begin + k;
    adamw_element(parameter[i], ops::widen(gradient[i]), m[i], v[i], f.gradient_scale, f.decay, f);
    if constexpr (!std::is_same_v<Rounded, float>) ops::narrow(parameter[i], rounded[i]);
  }
}

template <typename Gradient, typename Rounded>
ZR_INLINE void adamw_arrays(const FlatSlice& slice, int64_t begin, int64_t end, const AdamWFactors& f) {
  const AdamWFactors factors = f;
  float *const parameter = slice.parameter, *const m = slice.state[0], *const v = slice.state[1];
  const auto* gradient = static_cast<const Gradient*>(slice.gradient.data);
  auto* rounded = static_cast<Rounded*>(slice.rounded.data);
  int64_t i = begin;
  for (; i + kStep <= end; i += kStep) {
    prefetch(parameter + i);
    prefetch(gradient + i);
    prefetch(m + i);
    prefetch(v + i);
    if constexpr (!std::is_same_v<Rounded, float>) prefetch(rounded + i);
    adamw_step(parameter, gradient, m, v, rounded, i, kStep, factors);
  }
  adamw_step(parameter, gradient, m, v, rounded, i, end - i, factors);
}

ZR_INLINE void adamw_slice(const FlatSlice& slice, int64_t begin, int64_t end, const AdamWFactors& factors) {
  ops::with_number(slice.gradient.dtype, [&](auto gradient) ZR_ALWAYS {
    ops::with_number(slice.rounded.data ? slice.rounded.dtype : at::kFloat, [&](auto rounded) ZR_ALWAYS {
      adamw_arrays<decltype(gradient), decltype(rounded)>(slice, begin, end, factors);
    });
  });
}

ZR_INLINE void sgd_arrays(float* __restrict parameter, const float* __restrict gradient, int64_t count, const SgdFactors& f) {
  const SgdFactors factors = f;
  for (int64_t i = 0; i < count; ++i) sgd_element(parameter[i], gradient[i], factors.gradient_scale, factors.weight_decay, factors);
}

ZR_INLINE void sgd_momentum_arrays(float* __restrict parameter, const float* __restrict gradient, float* __restrict buffer, int64_t count,
                                   const SgdFactors& f) {
  const SgdFactors factors = f;
  for (int64_t i = 0; i < count; ++i) {
    sgd_momentum_element(parameter[i], gradient[i], buffer[i], factors.gradient_scale, factors.weight_decay, factors);
  }
}

// Blocks of four elements are drawn so many at a time, whether or not all of the first and last are asked for.
constexpr int kBlocksDrawn = 128;

ZR_INLINE void round_arrays(const float* __restrict parameter, int64_t count, const Rounding& r, uint16_t* __restrict rounded) {
  const Rounding rounding = r;
  for (int64_t done = 0; done < count;) {
    const int64_t element = rounding.first_element + done, skipped = element % 4, here = std::min(count - done, 4 * kBlocksDrawn - skipped);
    uint32_t words[4 * kBlocksDrawn];
#pragma omp simd
    for (int b = 0; b < kBlocksDrawn; ++b) {
      const auto drawn = words_of(rounding, static_cast<uint64_t>(element / 4 + b));
      for (int w = 0; w < 4; ++w) words[4 * b + w] = drawn[static_cast<size_t>(w)];
    }
    for (int64_t i = 0; i < here; ++i) rounded[done + i] = ops::narrow_to_bf16_at_random(parameter[done + i], words[skipped + i]);
    done += here;
  }
}

ZR_INLINE void add_arrays(float* __restrict sum, const float* __restrict part, int64_t count) {
  for (int64_t i = 0; i < count; ++i) sum[i] += part[i];
}

ZR_INLINE double sum_of_squares_array(const float* values, int64_t count) {
  constexpr int kLanes = 8;
  double lane[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int l = 0; l < kLanes; ++l) lane[l] += static_cast<double>(values[i + l]) * values[i + l];
  }
  for (; i < count; ++i) lane[0] += static_cast<double>(values[i]) * values[i];
  return ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
}

// The kernels, compiled with `attributes`, as the table `form`.
#define ZR_FLAT_KERNELS(form, attributes)                                                                                                   \
  namespace form {                                                                                                                          \
  attributes void adamw(const FlatSlice& s, int64_t begin, int64_t end, const AdamWFactors& f) { adamw_slice(s, begin, end, f); }           \
  attributes void sgd(float* p, const float* g, int64_t count, const SgdFactors& f) { sgd_arrays(p, g, count, f); }                         \
  attributes void momentum(float* p, const float* g, float* b, int64_t count, const SgdFactors& f) { sgd_momentum_arrays(p, g, b, count, f); } \
  attributes void round(const float* p, int64_t count, const Rounding& r, uint16_t* out) { round_arrays(p, count, r, out); }                  \
  attributes void add(float* sum, const float* part, int64_t count) { add_arrays(sum, part, count); }                                       \
  attributes double squares(const float* values, int64_t count) { return sum_of_squares_array(values, count); }                             \
  constexpr FlatKernels kKernels{adamw, sgd, momentum, round, add, squares};                                                                       \
  }
ZR_FLAT_KERNELS(baseline, )
ZR_FLAT_KERNELS(avx2, __attribute__((target("avx2"))))
ZR_FLAT_KERNELS(avx512, __attribute__((target("arch=x86-64-v4"))))
#undef ZR_FLAT_KERNELS

}  // namespace

bool machine_has(InstructionSet set) {
  switch (set) {
    case InstructionSet::avx512: return __builtin_cpu_supports("x86-64-v4");
    case InstructionSet::avx2: return __builtin_cpu_supports("avx2");
    default: return true;
  }
}

const FlatKernels& flat_kernels(InstructionSet set) {
  switch (set) {
    case InstructionSet::avx512: return avx512::kKernels;
    case InstructionSet::avx2: return avx2::kKernels;
    default: return baseline::kKernels;
  }
}

const FlatKernels& flat_kernels() {
  static const FlatKernels& widest = flat_kernels(machine_has(InstructionSet::avx512) ? InstructionSet::avx512
                                                  : machine_has(InstructionSet::avx2) ? InstructionSet::avx2
                                                                                      : InstructionSet::baseline);
  return widest;
}

}  // namespace zerorun::kernels
