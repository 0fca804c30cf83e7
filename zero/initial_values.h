// What the elements of a group are before the first step.
#pragma once
#include <cstdint>

#include "comm/communicator.h"
#include "core/model.h"
#include "core/weights/parameter_source.h"
#include "zero/group_layout.h"

namespace zerorun {

// `to` becomes elements [begin, begin + to.count) of the group's flat buffer: from `source`, where there is one, else from the counters of
// `seed`. Drawn in parallel, whichever part is asked for; a source of values is asked for one block after the other. Padding is left as it is.
void fill_values(const ParameterGroup& group, const GroupLayout& layout, const ParameterSource* source, uint64_t seed, int64_t begin, Span to);

}  // namespace zerorun
