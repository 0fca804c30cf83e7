// Where initial parameters come from, other than from counters. A rank asks for the slices that it owns, nothing else.
#pragma once
#include <cstdint>

#include "core/unit.h"

namespace zerorun {

class ParameterSource {
 public:
  virtual ~ParameterSource() = default;

  // Elements [first, first + count) of the row-major parameter, to out[0, count). Thread-safe.
  // REQUIRES that the source has the parameter, in this shape, and 0 <= first <= first + count <= parameter.count().
  virtual void fill(const Parameter& parameter, int64_t first, int64_t count, float* out) const = 0;
};

}  // namespace zerorun
