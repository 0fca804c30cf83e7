#include "core/kv_cache.h"

#include <ATen/ops/empty.h>

#include "core/error.h"
#include "core/memory.h"
#include "core/model.h"

namespace zerorun {

KeyValueCache::KeyValueCache(const Model& model, int64_t capacity) : capacity_(capacity) {
  ZR_CHECK(capacity > 0, "a cache of {} positions, expected a positive number", capacity);
  for (int u = 0; u < model.unit_count(); ++u) {
    if (model.unit(u).supports_generation()) continue;
    fail(ErrorKind::configuration,
         "the unit {} does not support generation: its forward may need earlier positions that a step of one token does not hand it; see "
         "Unit::supports_generation",
         model.unit(u).name());
  }
}

int64_t KeyValueCache::bytes() const {
  int64_t bytes = 0;
  for (const auto& place : places_) bytes += static_cast<int64_t>(place.nbytes());
  return bytes;
}

Mode KeyValueCache::begin_pass(int64_t samples, int64_t count) {
  ZR_CHECK(count > 0 && (position_ == 0 || count == 1), "{} new positions after {}, expected one", count, position_);
  ZR_CHECK(samples > 0 && (position_ == 0 || samples == samples_), "{} samples, but the cache holds {}", samples, samples_);
  if (position_ + count > capacity_) {
    fail(ErrorKind::bad_data, "{} positions do not fit the cache of {}", position_ + count, capacity_);
  }
  if (samples != samples_) places_.clear();
  samples_ = samples;
  first_ = position_;
  position_ += count;
  appended_ = 0;
  return first_ == 0 ? Mode::prefill : Mode::decode;
}

void KeyValueCache::clear() { first_ = position_ = 0; }

KeyValueCache::Rows KeyValueCache::append(const at::Tensor& keys, const at::Tensor& values) {
  const auto store = [&](const at::Tensor& rows) {
    const auto& kept = place(appended_++, rows);
    ZR_CHECK(rows.size(0) == samples_ && rows.size(1) == position_ - first_ && rows.size(2) == kept.size(2) && rows.dtype() == kept.dtype(),
             "append: rows [{}, {}, {}] in a pass of [{}, {}, {}]", rows.size(0), rows.size(1), rows.size(2), samples_, position_ - first_,
             kept.size(2));
    kept.narrow(1, first_, position_ - first_).copy_(rows);
    return kept.narrow(1, 0, position_);
  };
  auto kept_keys = store(keys);
  return {std::move(kept_keys), store(values)};
}

at::Tensor& KeyValueCache::place(size_t index, const at::Tensor& like) {
  if (index < places_.size()) return places_[index];
  ZR_CHECK(first_ == 0, "append: {} calls in this pass, fewer in the first", index + 1);
  const MemoryScope scope(Category::activations);
  return places_.emplace_back(at::empty({samples_, capacity_, like.size(2)}, like.options()));
}

}  // namespace zerorun
