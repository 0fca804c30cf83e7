// Where blocks lie in one stretch of offsets that grows at its end: best fit, the lower of two gaps of equal size, and a new
// end only where no gap is wide enough. Arithmetic alone; the memory, where there is any, is Arena's. What lies where is decided
// by the blocks that live and nothing else, so that equal steps lay their blocks out equally, the first as the hundredth, with
// memory behind or without.
#pragma once
#include <cstdint>
#include <vector>

namespace zerorun::detail {

// Offsets and sizes in bytes. A call costs a pass over the gaps. Not thread-safe.
class ArenaLayout {
 public:
  // Where a block of `bytes` would lie. REQUIRES bytes > 0.
  int64_t place(int64_t bytes) const;
  // REQUIRES offset == place(bytes), and nothing in between.
  void take(int64_t offset, int64_t bytes);
  // REQUIRES that take(offset, bytes) was called and not freed since.
  void free(int64_t offset, int64_t bytes);

  int64_t end() const { return end_; }    // of the last live block
  int64_t peak() const { return peak_; }  // the highest end so far
  int64_t gap_count() const { return static_cast<int64_t>(gaps_.size()); }

 private:
  struct Gap {
    int64_t offset, bytes;
  };
  using Gaps = std::vector<Gap>;
  Gaps::const_iterator best_fit(int64_t bytes) const;

  Gaps gaps_;  // by offset; no two touch, and none touches the end
  int64_t end_ = 0;
  int64_t peak_ = 0;
};

}  // namespace zerorun::detail
