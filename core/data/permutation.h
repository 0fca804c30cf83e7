// A shuffled order without a table.
#pragma once
#include <cstdint>

namespace zerorun {

// Where element k of [0, n) goes: a bijection of [0, n) for every {seed, epoch}, in O(1) memory and about 0.5 us. A Feistel
// network keyed by Philox permutes the next power of four; steps that leave [0, n) are walked on until they return.
// REQUIRES 0 <= k < n <= 2^62.
int64_t permute(uint64_t seed, int64_t epoch, int64_t k, int64_t n);

}  // namespace zerorun
