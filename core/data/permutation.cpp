#include "core/data/permutation.h"

#include <array>

#include "core/error.h"
#include "core/random.h"

namespace zerorun {
namespace {

constexpr uint32_t kRounds = 6;

using Key = std::array<uint32_t, 2>;

std::array<uint32_t, 2> words_of(uint64_t value) { return {static_cast<uint32_t>(value), static_cast<uint32_t>(value >> 32)}; }

// A stream of its own: the order of the data must not repeat words that initialised a parameter.
Key epoch_key(uint64_t seed, int64_t epoch) {
  const auto stream = words_of(stream_of("data.order"));
  const auto e = words_of(static_cast<uint64_t>(epoch));
  const auto words = philox4x32_10({e[0], e[1], stream[0], stream[1]}, words_of(seed));
  return {words[0], words[1]};
}

uint64_t feistel(uint64_t value, int half_bits, const Key& key) {
  const uint64_t mask = (uint64_t{1} << half_bits) - 1;
  uint64_t left = value >> half_bits;
  uint64_t right = value & mask;
  for (uint32_t round = 0; round < kRounds; ++round) {
    const uint64_t mixed = left ^ (philox4x32_10({static_cast<uint32_t>(right), round, 0, 0}, key)[0] & mask);
    left = right;
    right = mixed;
  }
  return left << half_bits | right;
}

}  // namespace

int64_t permute(uint64_t seed, int64_t epoch, int64_t k, int64_t n) {
  ZR_CHECK(0 <= k && k < n && n <= int64_t{1} << 62, "permute: element {} of {}, expected 0 <= k < n <= 2^62", k, n);
  int half_bits = 1;
  while (int64_t{1} << 2 * half_bits < n) ++half_bits;
  const Key key = epoch_key(seed, epoch);
  uint64_t value = static_cast<uint64_t>(k);
  do value = feistel(value, half_bits, key);
  while (value >= static_cast<uint64_t>(n));
  return static_cast<int64_t>(value);
}

}  // namespace zerorun
