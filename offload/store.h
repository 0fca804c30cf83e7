// Where bytes sleep that no computation uses at the moment: in memory of the host, or on disk. A store has a fixed number of bytes, which are
// there from the start; what it is asked to hold cannot fail for want of space later.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace zerorun {

// Of offsets, of memory handed in, and of lengths: what disks read and write directly.
inline constexpr int64_t kStoreAlignment = 4096;

inline int64_t in_store_units(int64_t bytes) { return (bytes + kStoreAlignment - 1) / kStoreAlignment * kStoreAlignment; }

// Bytes of a store, and the memory that they come from or go to.
struct Extent {
  int64_t offset = 0;
  std::span<std::byte> memory;
};
using Extents = std::span<const Extent>;

class Store {
 public:
  virtual ~Store() = default;

  virtual int64_t bytes() const = 0;
  // What it has to do without, for the user to see; empty where nothing.
  virtual std::string note() const { return ""; }
  // Whether its bytes can be worked on where they are; else they must be read to be seen.
  virtual bool is_memory() const = 0;
  // The bytes themselves, where they are memory; else null.
  virtual std::byte* data() = 0;

  // Extents will mostly come from or go to this memory, which stays until the store goes, or is told of other memory: some prepare for that.
  virtual void use_memory(std::span<std::byte>) {}

  // Move all extents, as many at a time as the store can; block until done. REQUIRES each within bytes(); offset, size and address multiples
  // of kStoreAlignment. Thread-safe for extents apart; what has never been written reads as zeros. Throw Error(io) that says what could not
  // be moved and why.
  virtual void read(Extents to) = 0;
  virtual void write(Extents from) = 0;
  void read(Extent to) { read(Extents(&to, 1)); }
  void write(Extent from) { write(Extents(&from, 1)); }
};

// What every store checks first: throws Error(bug) where the REQUIRES above is broken.
void check_extents(const Store& store, Extents extents);

}  // namespace zerorun
