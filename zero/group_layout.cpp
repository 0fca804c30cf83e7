#include "zero/group_layout.h"

#include "core/error.h"
#include "core/round_up.h"

namespace zerorun {

GroupLayout::GroupLayout(const ParameterGroup& group, int ranks) : ranks_(ranks) {
  ZR_CHECK(ranks > 0, "a layout for {} ranks, expected at least 1", ranks);
  int64_t end = 0, elements = 0;
  for (const auto& parameter : group.parameters) {
    offsets_.push_back(end);
    end = round_up(end + parameter.count(), kAlignment);
    elements += parameter.count();
    if (parameter.decays()) decay_end_ = end;
  }
  padded_count_ = round_up(end, kAlignment * ranks);
  padding_ = padded_count_ - elements;
}

}  // namespace zerorun
