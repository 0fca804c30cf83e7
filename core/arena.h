// The large blocks of one account, in one stretch of addresses whose pages stay with the process until the account ends: the
// next step finds them where this one left them. Blocks of the meta device take offsets alone, and show how far it will reach.
// Private to core.
#pragma once
#include <cstdint>
#include <mutex>
#include <optional>

#include "core/arena_layout.h"

namespace zerorun::detail {

// Addresses from a fixed place on, mapped as far as they were ever needed. No more is reserved, so that a limit of the address
// space counts what is used; nothing else comes to lie behind it, because the kernel maps from the top of the address space down.
class AddressStretch {
 public:
  AddressStretch() = default;
  ~AddressStretch();
  AddressStretch(const AddressStretch&) = delete;
  AddressStretch& operator=(const AddressStretch&) = delete;

  // Maps at least the first `bytes`; false where the kernel does not give them, or they are more than a tebibyte.
  bool reach(int64_t bytes);
  char* at(int64_t offset) const { return base_ + offset; }
  int64_t size() const { return size_; }

 private:
  char* base_ = nullptr;
  int64_t size_ = 0;
};

// Thread-safe.
class Arena {
 public:
  static constexpr int64_t kAlignment = 64;

  enum class Memory { none, mapped };

  // The offset of a block, a multiple of kAlignment; nothing where there is no memory for it. REQUIRES bytes is a multiple of
  // kAlignment and above 0.
  std::optional<int64_t> take(int64_t bytes, Memory memory);
  // REQUIRES a block that was taken with this size. Its contents are gone.
  void free(int64_t offset, int64_t bytes);
  // Of a block with memory. REQUIRES one was taken.
  char* at(int64_t offset) const { return stretch_.at(offset); }
  int64_t peak() const;  // the highest end of a block so far

 private:
  mutable std::mutex mutex_;
  ArenaLayout layout_;
  AddressStretch stretch_;
};

}  // namespace zerorun::detail
