// How what belongs to the elements of a group lies in a store: stripes of so many elements, and in each stripe the parts side by side, so
// that an update of a stripe is one read and one write.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "offload/offloader.h"

namespace zerorun {

class Stripes {
 public:
  // `part_bytes`: of an element, for each part. REQUIRES count > 0, stripe > 0.
  Stripes(int64_t count, int64_t stripe, std::vector<int64_t> part_bytes)
      : count_(count), stripe_(std::min(stripe, count)), part_bytes_(std::move(part_bytes)) {}

  int64_t size() const { return (count_ + stripe_ - 1) / stripe_; }
  int64_t begin(int64_t stripe) const { return stripe * stripe_; }  // its first element
  int64_t count(int64_t stripe) const { return std::min(stripe_, count_ - begin(stripe)); }
  int64_t bytes() const { return offset(size() - 1) + bytes_of(size() - 1); }

  // Parts [first, last) of a stripe, in bytes from its start; each part begins and ends at a multiple of kStoreAlignment.
  Piece::Range range(int64_t stripe, int first, int last) const { return {start_of(stripe, first), start_of(stripe, last)}; }
  // A piece that is parts [first, last) of a stripe of a store in which the stripes begin at `begin`.
  Piece piece(int64_t begin, int64_t stripe, int first, int last) const {
    const auto [from, to] = range(stripe, first, last);
    return {begin + offset(stripe) + from, to - from};
  }
  int parts() const { return static_cast<int>(part_bytes_.size()); }

 private:
  int64_t offset(int64_t stripe) const { return stripe * bytes_of(0); }
  int64_t bytes_of(int64_t stripe) const { return start_of(stripe, parts()); }
  int64_t start_of(int64_t stripe, int part) const {
    int64_t bytes = 0;
    for (int p = 0; p < part; ++p) bytes += in_store_units(count(stripe) * part_bytes_[static_cast<size_t>(p)]);
    return bytes;
  }

  int64_t count_, stripe_;
  std::vector<int64_t> part_bytes_;
};

}  // namespace zerorun
