#include "comm/stream.h"

#include <ATen/Parallel.h>
#include <immintrin.h>

#include <algorithm>
#include <cstring>

namespace zerorun {
namespace {

constexpr int64_t kLine = 64;

// `lines` lines at each of `places` places, `stride` bytes apart, in turns.
using StreamLines = void(const char* from, char* to, int64_t lines, int places, int64_t stride);

void stream_lines(const char* from, char* to, int64_t lines, int places, int64_t stride) {
  for (; lines > 0; --lines, from += kLine, to += kLine) {
    for (int place = 0; place < places; ++place) {
      __m128i line[4];
      for (int i = 0; i < 4; ++i) line[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + place * stride) + i);
      for (int i = 0; i < 4; ++i) _mm_stream_si128(reinterpret_cast<__m128i*>(to + place * stride) + i, line[i]);
    }
  }
}

// A line in one store goes out at once; in parts it waits until it is whole.
__attribute__((target("avx512f"))) void stream_lines_avx512(const char* from, char* to, int64_t lines, int places, int64_t stride) {
  for (; lines > 0; --lines, from += kLine, to += kLine) {
    for (int place = 0; place < places; ++place) {
      _mm512_stream_si512(reinterpret_cast<__m512i*>(to + place * stride), _mm512_loadu_si512(from + place * stride));
    }
  }
}

}  // namespace

// The processor fetches ahead within a page: one page at a time does not keep the memory busy, four do.
void stream(const void* from, void* to, int64_t bytes) {
  static StreamLines* const lines = __builtin_cpu_supports("avx512f") ? stream_lines_avx512 : stream_lines;
  constexpr int64_t kPlaces = 4, kSmall = 16 << 10;
  const auto* source = static_cast<const char*>(from);
  auto* target = static_cast<char*>(to);
  const int64_t head = std::min(bytes, -reinterpret_cast<int64_t>(target) & (kLine - 1));
  const int64_t body = (bytes - head) / kLine * kLine, quarter = body < kSmall ? 0 : body / kPlaces / kLine * kLine;
  std::memcpy(target, source, static_cast<size_t>(head));
  lines(source + head, target + head, quarter / kLine, kPlaces, quarter);
  const int64_t rest = head + kPlaces * quarter, end = head + body;
  lines(source + rest, target + rest, (end - rest) / kLine, 1, 0);
  std::memcpy(target + end, source + end, static_cast<size_t>(bytes - end));
}

void stream_end() { _mm_sfence(); }

void copy_bytes(const void* from, void* to, int64_t bytes) {
  constexpr int64_t kBytesPerTask = 256 << 10;
  if (from == to) return;
  at::parallel_for(0, bytes, kBytesPerTask, [&](int64_t begin, int64_t end) {
    const auto* source = static_cast<const char*>(from) + begin;
    auto* target = static_cast<char*>(to) + begin;
    if (bytes < kStreamFrom) {
      std::memcpy(target, source, static_cast<size_t>(end - begin));
    } else {
      stream(source, target, end - begin);
      stream_end();
    }
  });
}

}  // namespace zerorun
