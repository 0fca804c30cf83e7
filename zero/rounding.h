// How parameters are rounded from their masters after an update: to nearest, or at random (stochastic rounding), which is right in the mean, so that
// changes smaller than half of a bf16's last place move a parameter too, now and then.
#pragma once
#include <array>
#include <cstdint>

namespace zerorun {

// To nearest where `at_random` is false. Else element i takes the low half of word e % 4 of Philox 4x32-10 of the counter {low and high word of e / 4, step, stream}, where
// e = first_element + i: the bits depend on where an element lies in its group, not on how that is cut into slices, or on who rounds, or where.
struct Rounding {
  bool at_random = false;
  std::array<uint32_t, 2> key{};  // of the run
  uint32_t stream = 0;            // of the group
  uint32_t step = 0;
  int64_t first_element = 0;

  Rounding from(int64_t elements) const {
    Rounding rest = *this;
    rest.first_element += elements;
    return rest;
  }
};

}  // namespace zerorun
