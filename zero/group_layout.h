// Where the parameters of a group lie in its flat buffer: those that decay first, every parameter and every slice at a
// multiple of kAlignment elements. The order does not depend on the number of ranks; only the tail padding does.
#pragma once
#include <cstdint>
#include <vector>

#include "core/model.h"

namespace zerorun {

class GroupLayout {
 public:
  static constexpr int64_t kAlignment = 64;  // elements

  GroupLayout(const ParameterGroup& group, int ranks);

  int64_t offset(int parameter) const { return offsets_[parameter]; }  // elements
  int64_t padded_count() const { return padded_count_; }
  int64_t slice_count() const { return padded_count_ / ranks_; }
  // Elements that hold no parameter.
  int64_t padding() const { return padding_; }
  // Elements [0, decay_end) decay, the others do not.
  int64_t decay_end() const { return decay_end_; }

 private:
  int ranks_;
  std::vector<int64_t> offsets_;
  int64_t decay_end_ = 0;
  int64_t padded_count_ = 0;
  int64_t padding_ = 0;
};

}  // namespace zerorun
