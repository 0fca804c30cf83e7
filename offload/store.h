// Where bytes sleep that no computation uses at the moment: in memory of the host, or on disk. A store has a fixed number of bytes, which are
// there from the start; what it is asked to hold cannot fail for want of space later.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace zerorun {

// Of offsets, of memory handed in, and of lengths: what disks read and write directly.
inline constexpr int64_t kStoreAlignment = 4096;

inline int64_t in_store_units(int64_t bytes) { return (bytes + kStoreAlignment - 1) / kStoreAlignment * kStoreAlignment; }

class Store {
 public:
  virtual ~Store() = default;

  virtual int64_t bytes() const = 0;
  // The bytes themselves, where they are memory; null where they must be read to be seen.
  virtual std::byte* data() = 0;

  // Block until done. REQUIRES [offset, offset + size) within bytes(); offset, size and address multiples of kStoreAlignment. Thread-safe
  // for ranges apart; a range that has never been written reads as zeros. Throws Error(io) that says what could not be moved and why.
  virtual void read(int64_t offset, std::span<std::byte> to) = 0;
  virtual void write(int64_t offset, std::span<const std::byte> from) = 0;
};

// What every store checks first: throws Error(bug) where the REQUIRES above is broken.
void check_range(const Store& store, int64_t offset, std::span<const std::byte> memory);

}  // namespace zerorun
