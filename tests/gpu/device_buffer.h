// Memory where kernels run: of a GPU in gpu_kernels_on_gpu_test, plain memory in gpu_kernels_test, where kernels are emulated.
#pragma once
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

namespace zerorun::device {

void* allocate(int64_t bytes);  // aligned to 256 bytes
void release(void* memory) noexcept;
void copy(const void* from, void* to, int64_t bytes);  // either way; after what has been launched
// The order of blocks and threads in what is launched next, where that can be chosen.
void set_order(unsigned int seed);

// Values on the device, between two red zones. Their bytes are those of numbers that are none, so that who reads there is seen by what it computes, and who
// writes there by their change.
template <typename T>
class Buffer {
 public:
  // The first value lies `shift` elements behind an address that is aligned to 256 bytes.
  explicit Buffer(const std::vector<T>& values, int64_t shift = 0) : count_(static_cast<int64_t>(values.size())), before_(kZone + shift * kSize) {
    std::vector<unsigned char> image(static_cast<size_t>(before_ + count_ * kSize + kZone), kRed);
    if (count_ > 0) std::memcpy(image.data() + before_, values.data(), static_cast<size_t>(count_ * kSize));
    memory_ = allocate(static_cast<int64_t>(image.size()));
    copy(image.data(), memory_, static_cast<int64_t>(image.size()));
  }
  explicit Buffer(int64_t count, int64_t shift = 0) : Buffer(std::vector<T>(static_cast<size_t>(count), nothing()), shift) {}
  ~Buffer() {
    const auto image = read();
    for (int64_t i = 0; i < static_cast<int64_t>(image.size()); ++i) {
      const bool inside = i >= before_ && i < before_ + count_ * kSize;
      if (!inside && image[static_cast<size_t>(i)] != kRed) {
        ADD_FAILURE() << "a kernel wrote to byte " << i - before_ << " of a buffer of " << count_ * kSize;
        break;
      }
    }
    release(memory_);
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  T* data() const { return reinterpret_cast<T*>(static_cast<char*>(memory_) + before_); }
  int64_t count() const { return count_; }
  std::vector<T> values() const {
    const auto image = read();
    std::vector<T> values(static_cast<size_t>(count_));
    if (count_ > 0) std::memcpy(values.data(), image.data() + before_, static_cast<size_t>(count_ * kSize));
    return values;
  }

 private:
  static constexpr int64_t kZone = 256, kSize = sizeof(T);
  static constexpr unsigned char kRed = 0xff;

  static T nothing() {
    T value;
    std::memset(static_cast<void*>(&value), kRed, sizeof value);
    return value;
  }

  std::vector<unsigned char> read() const {
    std::vector<unsigned char> image(static_cast<size_t>(before_ + count_ * kSize + kZone));
    copy(memory_, image.data(), static_cast<int64_t>(image.size()));
    return image;
  }

  int64_t count_, before_;
  void* memory_ = nullptr;
};

}  // namespace zerorun::device
