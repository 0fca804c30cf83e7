#include "zero/batch_stage.h"

#include <ATen/ops/empty.h>

#include <cstring>

#include "core/ops/embedding.h"
#include "offload/host_store.h"
#include "zero/flat_span.h"

namespace zerorun {

Store& BatchStage::store_for(int64_t bytes) {
  if (next_ == stores_.size()) stores_.emplace_back();
  auto& store = stores_[next_++];
  if (store && store->bytes() >= bytes) return *store;
  store.reset();
  store = take_host_memory(bytes, ledger_, device_.is_meta());
  return *store;
}

// What lies in `memory`, on the device; `memory` goes on behind it.
at::Tensor BatchStage::upload(const at::Tensor& like, std::byte*& memory) const {
  const auto placed = at::empty(like.sizes(), like.options().device(device_));
  copy({memory, placed.numel(), at::kLong}, span_of(placed));
  if (memory) memory += placed.nbytes();
  return placed;
}

void BatchStage::place(const at::Tensor& tokens, const at::Tensor& targets, bool ordered, StepContext& context) {
  if (ledger_.device() == Side::host) {
    context.tokens = tokens;
    context.targets = targets;
    return;
  }
  const MemoryScope scope(ledger_, Category::activations);
  const int parts = 1 + targets.defined() + ordered;
  auto* const data = store_for(parts * static_cast<int64_t>(tokens.nbytes())).data();
  if (data) {
    std::memcpy(data, tokens.const_data_ptr(), tokens.nbytes());
    if (targets.defined()) std::memcpy(data + tokens.nbytes(), targets.const_data_ptr(), targets.nbytes());
    if (ordered) ops::token_order(tokens.const_data_ptr<int64_t>(), tokens.numel(), reinterpret_cast<int64_t*>(data + (parts - 1) * tokens.nbytes()));
  }
  auto* next = data;
  context.tokens = upload(tokens, next);
  if (targets.defined()) context.targets = upload(targets, next);
  if (ordered) context.order = upload(tokens, next);
}

}  // namespace zerorun
