#include "core/gpu/vector.cuh"
#include "core/ops/kernels/dropout_rows.h"
#include "core/philox.h"

namespace zerorun::ops {
namespace {

using namespace gpu;

constexpr int kDraws = 8;  // of a counter

// A task is a counter of a sample.
template <typename Number, int kCount>
__global__ void __launch_bounds__(kThreads) drop(DropoutMask mask, int64_t first_sample, int64_t samples, int64_t size, const Number* from, Number* to) {
  const int64_t counters = (size + kDraws - 1) / kDraws;
  for_each_group<1>(samples * counters, [&](auto, int64_t task) {
    const int64_t sample = task / counters, counter = task % counters;
    const auto number = static_cast<uint64_t>(first_sample + sample);
    const auto words = philox({static_cast<uint32_t>(counter), 0, static_cast<uint32_t>(number), static_cast<uint32_t>(number >> 32)}, mask.key);
    const Number* in = from + sample * size;
    Number* out = to + sample * size;
    for (int first = 0; first < kDraws; first += kCount) {
      const int64_t element = counter * kDraws + first;
      if (element >= size) return;
      float values[kCount];
      load(in + element, values);
      for (int i = 0; i < kCount; ++i) {
        const uint32_t word = words[static_cast<size_t>((first + i) / 2)], draw = (first + i) % 2 == 0 ? word & 0xffffu : word >> 16;
        values[i] = draw < mask.dropped ? 0.0f : values[i] * mask.scale;
      }
      store(values, out + element);
    }
  });
}

}  // namespace

void drop_elements(const DropoutMask& mask, c10::ScalarType dtype, int64_t first_sample, int64_t samples, int64_t size, const void* from, void* to,
                   GpuStream stream) {
  with_number(dtype, [&](auto zero) {
    using Number = decltype(zero);
    with_group<kDraws>(size % kDraws == 0 && aligned({from, to}), [&](auto group) {
      const unsigned int blocks = blocks_for(samples * ((size + kDraws - 1) / kDraws), kThreads);
      launch("drop_elements", drop<Number, decltype(group)::value>, blocks, kThreads, stream, mask, first_sample, samples, size,
             static_cast<const Number*>(from), static_cast<Number*>(to));
    });
  });
}

}  // namespace zerorun::ops
