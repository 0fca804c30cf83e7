// What an engine holds, read from outside.
#include <ATen/ops/empty.h>

#include "core/memory.h"
#include "zero/engine.h"
#include "zero/graph.h"

namespace zerorun {

void Engine::for_each_parameter(const Visitor& visit, ParamGroup::Content content) {
  for (const auto& group : groups_) {
    if (content == ParamGroup::Content::gradients && !group->trainable()) continue;
    const MemoryScope scope(ledger_, Category::gathered);
    const auto whole = to_host(group->read_whole(content, at_offset(upload_slots_, 0)));
    if (content == ParamGroup::Content::gradients) whole.div_(gradient_scale_);
    const auto& parameters = group->declaration().parameters;
    for (size_t p = 0; p < parameters.size(); ++p) {
      const int64_t offset = group->layout().offset(static_cast<int>(p));
      visit(parameters[p], whole.narrow(0, offset, parameters[p].count()).view(parameters[p].shape));
    }
  }
}

void Engine::reserve(int64_t samples, int64_t seq_len) {
  auto* const frames = sleeping_ ? sleeping_->frames() : nullptr;
  if (!frames) return;
  MemoryLedger shapes;
  const MemoryScope scope(shapes, Category::activations);
  const auto tokens = at::empty({samples, seq_len}, at::TensorOptions().dtype(at::kLong).device(at::kMeta));
  frames->reserve({tokens, tokens, Mode::train});
}

void Engine::flush() {
  for (const auto& group : groups_) group->flush(at_offset(upload_slots_, 0));
}

int64_t Engine::padding() const {
  int64_t padding = 0;
  for (const auto& group : groups_) padding += group->layout().padding();
  return padding;
}

}  // namespace zerorun
