#include "core/arena.h"

#include <sanitizer/asan_interface.h>
#include <sys/mman.h>

#include <cerrno>

#include "core/gpu/stretch.h"

namespace zerorun::detail {
namespace {

constexpr int64_t kTebibyte = int64_t{1} << 40;
constexpr int64_t kHugePage = int64_t{2} << 20;
// Places for stretches, in multiples of their most.
#ifdef __SANITIZE_THREAD__  // leaves programs a few stretches of addresses, and maps elsewhere what is asked for outside of them
constexpr int64_t kMost = kTebibyte / 64, kFirstSlot = 86 * 64, kLastSlot = kFirstSlot + 31;
#else
constexpr int64_t kMost = kTebibyte, kFirstSlot = 34, kLastSlot = 80;  // above AddressSanitizer's shadows, below programs and libraries
#endif

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
    char* const mapped = map_at(reinterpret_cast<char*>(slot * kMost), bytes);
    if (mapped || errno != EEXIST) return mapped;
  }
  return nullptr;
}

class HostStretch final : public AddressStretch {
 public:
  ~HostStretch() override {
    if (!base_) return;
    ASAN_UNPOISON_MEMORY_REGION(base_, size_);
    munmap(base_, size_);
  }

  bool reach(int64_t bytes) override {
    if (bytes <= size_) return true;
    if (bytes > kMost) return false;
    const int64_t size = (bytes + kHugePage - 1) / kHugePage * kHugePage;
    char* const mapped = base_ ? map_at(base_ + size_, size - size_) : map_in_a_free_slot(size);
    if (!mapped) return false;
    if (!base_) base_ = mapped;
    size_ = size;
    return true;
  }

  char* at(int64_t offset) const override { return base_ + offset; }
  int64_t size() const override { return size_; }
  void taken(int64_t offset, [[maybe_unused]] int64_t bytes) override { ASAN_UNPOISON_MEMORY_REGION(at(offset), bytes); }
  void freed(int64_t offset, [[maybe_unused]] int64_t bytes) override { ASAN_POISON_MEMORY_REGION(at(offset), bytes); }

 private:
  char* base_ = nullptr;
  int64_t size_ = 0;
};

}  // namespace

std::unique_ptr<AddressStretch> make_host_stretch() { return std::make_unique<HostStretch>(); }

std::optional<int64_t> Arena::take(int64_t bytes, Memory memory) {
  const std::lock_guard lock(mutex_);
  const int64_t offset = layout_.place(bytes);
  if (memory == Memory::mapped) {
    if (!stretch_) stretch_ = side_ == Side::gpu ? gpu::make_stretch() : make_host_stretch();
    if (!stretch_->reach(offset + bytes)) return std::nullopt;
    stretch_->taken(offset, bytes);
  }
  layout_.take(offset, bytes);
  return offset;
}

void Arena::free(int64_t offset, int64_t bytes) {
  const std::lock_guard lock(mutex_);
  if (stretch_ && stretch_->size() >= offset + bytes) stretch_->freed(offset, bytes);
  layout_.free(offset, bytes);
}

int64_t Arena::peak() const {
  const std::lock_guard lock(mutex_);
  return layout_.peak();
}

}  // namespace zerorun::detail
