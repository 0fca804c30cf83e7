#include "core/ops/kernels/dropout_rows.h"

#include <algorithm>

#include "core/ops/kernels/number.h"

namespace zerorun::ops {
namespace {

constexpr int64_t kLanes = 16, kDraws = 8 * kLanes;

// Philox 4x32-10 (core/random.h) of kLanes counters side by side.
ZR_INLINE void draw(std::array<uint32_t, 2> key, uint32_t first, uint64_t sample, uint16_t* draws) {
  uint32_t a[kLanes], b[kLanes], c[kLanes], d[kLanes];
  for (int64_t i = 0; i < kLanes; ++i) {
    a[i] = first + static_cast<uint32_t>(i);
    b[i] = 0;
    c[i] = static_cast<uint32_t>(sample);
    d[i] = static_cast<uint32_t>(sample >> 32);
  }
  for (int round = 0; round < 10; ++round) {
#pragma omp simd
    for (int64_t i = 0; i < kLanes; ++i) {
      const uint64_t p = uint64_t{0xD2511F53u} * a[i], q = uint64_t{0xCD9E8D57u} * c[i];
      a[i] = static_cast<uint32_t>(q >> 32) ^ b[i] ^ key[0];
      b[i] = static_cast<uint32_t>(q);
      c[i] = static_cast<uint32_t>(p >> 32) ^ d[i] ^ key[1];
      d[i] = static_cast<uint32_t>(p);
    }
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  for (int64_t i = 0; i < kLanes; ++i) {
    const uint32_t words[4] = {a[i], b[i], c[i], d[i]};
    for (int w = 0; w < 4; ++w) {
      draws[8 * i + 2 * w] = static_cast<uint16_t>(words[w]);
      draws[8 * i + 2 * w + 1] = static_cast<uint16_t>(words[w] >> 16);
    }
  }
}

}  // namespace

ZR_FOR_EACH_CPU
void drop_elements(const DropoutMask& mask, c10::ScalarType dtype, int64_t sample, int64_t first, int64_t count, const void* from, void* to) {
  with_number(dtype, [&](auto zero) ZR_ALWAYS {
    using Number = decltype(zero);
    const auto* in = static_cast<const Number*>(from);
    auto* out = static_cast<Number*>(to);
    const float scale = mask.scale;
    const uint32_t dropped = mask.dropped;
    uint16_t draws[kDraws];
    for (int64_t done = 0; done < count; done += kDraws) {
      draw(mask.key, static_cast<uint32_t>((first + done) / 8), static_cast<uint64_t>(sample), draws);
      const int64_t here = std::min(kDraws, count - done);
#pragma omp simd
      for (int64_t i = 0; i < here; ++i) {
        const float kept = widen(in[done + i]) * scale;
        narrow(draws[i] < dropped ? 0.0f : kept, out[done + i]);
      }
    }
  });
}

}  // namespace zerorun::ops
