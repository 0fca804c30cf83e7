#include "core/arena_layout.h"

#include <algorithm>

namespace zerorun::detail {

ArenaLayout::Gaps::const_iterator ArenaLayout::best_fit(int64_t bytes) const {
  auto best = gaps_.end();
  for (auto gap = gaps_.begin(); gap != gaps_.end(); ++gap) {
    if (gap->bytes >= bytes && (best == gaps_.end() || gap->bytes < best->bytes)) best = gap;
  }
  return best;
}

int64_t ArenaLayout::place(int64_t bytes) const {
  const auto gap = best_fit(bytes);
  return gap == gaps_.end() ? end_ : gap->offset;
}

void ArenaLayout::take(int64_t offset, int64_t bytes) {
  if (offset == end_) {
    end_ += bytes;
    peak_ = std::max(peak_, end_);
    return;
  }
  const auto gap = std::ranges::lower_bound(gaps_, offset, {}, &Gap::offset);
  gap->offset += bytes;
  gap->bytes -= bytes;
  if (gap->bytes == 0) gaps_.erase(gap);
}

void ArenaLayout::free(int64_t offset, int64_t bytes) {
  auto after = std::ranges::lower_bound(gaps_, offset, {}, &Gap::offset);
  if (after != gaps_.end() && after->offset == offset + bytes) {
    bytes += after->bytes;
    after = gaps_.erase(after);
  }
  if (after != gaps_.begin()) {
    const auto before = after - 1;
    if (before->offset + before->bytes == offset) {
      offset = before->offset;
      bytes += before->bytes;
      after = gaps_.erase(before);
    }
  }
  if (offset + bytes == end_) {
    end_ = offset;
  } else {
    gaps_.insert(after, {offset, bytes});
  }
}

}  // namespace zerorun::detail
