// Where numbers lie on an axis, and which of them are written beside it.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace zerorun::page {

struct Range {
  double from = 0, to = 1;
  double share(double value) const { return to > from ? (value - from) / (to - from) : 0.5; }
};

struct Tick {
  double value;
  std::string text;
};

struct Axis {
  Range range;
  std::vector<Tick> ticks;  // within the range
};

// From 0 to a round number that is not below `highest`, in bytes: 0, 10 MiB, 20 MiB.
Axis byte_axis(int64_t highest, int most_ticks);
// Around what there is, ends included, in round steps; from 0 where `from_zero`. Where all are equal, around them.
Axis number_axis(Range values, int most_ticks, bool from_zero);
// Of numbers over many orders, by their logarithms to base 10: whole powers around them, of which every one or some are written.
Axis power_axis(Range logarithms, int most_ticks);
// Steps of a training: the ends are the first and the last step; round numbers between.
Axis step_axis(int64_t first, int64_t last, int most_ticks);

}  // namespace zerorun::page
