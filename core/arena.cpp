#include "core/arena.h"

#include <sanitizer/asan_interface.h>
#include <sys/mman.h>

#include <cerrno>

namespace zerorun::detail {
namespace {

constexpr int64_t kTebibyte = int64_t{1} << 40;
constexpr int64_t kHugePage = int64_t{2} << 20;
constexpr int64_t kFirstSlot = 34, kLastSlot = 80;  // tebibytes: above AddressSanitizer's shadows, below programs and libraries

// Pages at this very address; nullptr where there are none to be had, or others are there (errno EEXIST).
char* map_at(char* address, int64_t bytes) {
  void* const mapped = mmap(address, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  madvise(mapped, bytes, MADV_HUGEPAGE);  // a wish
  ASAN_POISON_MEMORY_REGION(mapped, bytes);
  return static_cast<char*>(mapped);
}

char* map_in_a_free_slot(int64_t bytes) {
  for (int64_t slot = kFirstSlot; slot <= kLastSlot; ++slot) {
    char* const mapped = map_at(reinterpret_cast<char*>(slot * kTebibyte), bytes);
    if (mapped || errno != EEXIST) return mapped;
  }
  return nullptr;
}

}  // namespace

AddressStretch::~AddressStretch() {
  if (!base_) return;
  ASAN_UNPOISON_MEMORY_REGION(base_, size_);
  munmap(base_, size_);
}

bool AddressStretch::reach(int64_t bytes) {
  if (bytes <= size_) return true;
  if (bytes > kTebibyte) return false;
  const int64_t size = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  char* const mapped = base_ ? map_at(base_ + size_, size - size_) : map_in_a_free_slot(size);
  if (!mapped) return false;
  if (!base_) base_ = mapped;
  size_ = size;
  return true;
}

std::optional<int64_t> Arena::take(int64_t bytes, Memory memory) {
  const std::lock_guard lock(mutex_);
  const int64_t offset = layout_.place(bytes);
  if (memory == Memory::mapped) {
    if (!stretch_.reach(offset + bytes)) return std::nullopt;
    ASAN_UNPOISON_MEMORY_REGION(stretch_.at(offset), bytes);
  }
  layout_.take(offset, bytes);
  return offset;
}

void Arena::free(int64_t offset, int64_t bytes) {
  const std::lock_guard lock(mutex_);
  if (stretch_.size() >= offset + bytes) ASAN_POISON_MEMORY_REGION(stretch_.at(offset), bytes);
  layout_.free(offset, bytes);
}

int64_t Arena::peak() const {
  const std::lock_guard lock(mutex_);
  return layout_.peak();
}

}  // namespace zerorun::detail
