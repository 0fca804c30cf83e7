// The large blocks of one account in one place, in one stretch of addresses whose pages stay with the process until the account ends: the
// next step finds them where this one left them. Blocks of the meta device take offsets alone, and show how far it will reach.
// Private to core.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

#include "core/arena_layout.h"
#include "core/span.h"

namespace zerorun::detail {

// Addresses from a fixed place on, backed by memory as far as they were ever needed.
class AddressStretch {
 public:
  virtual ~AddressStretch() = default;
  // Backs at least the first `bytes`; false where there is no memory for them.
  virtual bool reach(int64_t bytes) = 0;
  virtual char* at(int64_t offset) const = 0;
  // Backed so far.
  virtual int64_t size() const = 0;
  // Blocks come and go: for tools that watch accesses.
  virtual void taken(int64_t, int64_t) {}
  virtual void freed(int64_t, int64_t) {}
};

// No more addresses are reserved than are used, so that a limit of the address space counts what is used; nothing else comes to lie behind,
// because the kernel maps from the top of the address space down. At most a tebibyte.
std::unique_ptr<AddressStretch> make_host_stretch();

// How blocks lie. On a host: behind a header of their own, and small ones are malloc's. On a GPU: all in the arena, as far apart as its kernels
// and LibTorch's expect.
struct BlockRules {
  int64_t header, alignment, least;  // bytes; smaller blocks than `least` lie elsewhere
  // What a block takes of the arena.
  int64_t block_bytes(int64_t bytes) const { return (header + bytes + alignment - 1) / alignment * alignment; }
};
constexpr BlockRules rules_of(Side side) { return side == Side::gpu ? BlockRules{0, 512, 1} : BlockRules{64, 64, 64 * 1024}; }

// Thread-safe.
class Arena {
 public:
  explicit Arena(Side side) : side_(side) {}

  enum class Memory { none, mapped };

  // The offset of a block; nothing where there is no memory for it. REQUIRES bytes above 0, as rules_of(side).block_bytes() gives them.
  std::optional<int64_t> take(int64_t bytes, Memory memory);
  // REQUIRES a block that was taken with this size. Its contents are gone.
  void free(int64_t offset, int64_t bytes);
  // Of a block with memory. REQUIRES one was taken.
  char* at(int64_t offset) const { return stretch_->at(offset); }
  int64_t peak() const;  // the highest end of a block so far

 private:
  const Side side_;
  mutable std::mutex mutex_;
  ArenaLayout layout_;
  std::unique_ptr<AddressStretch> stretch_;
};

}  // namespace zerorun::detail
