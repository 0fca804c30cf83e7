// Memory that processes of one user on one host share. It has no name in any file system: the kernel frees it with the last
// process that maps it, however that ends, and the size of /dev/shm does not bound it.
#pragma once
#include <cstdint>

namespace zerorun {

class SharedMemory {
 public:
  // What another process needs to open it, while the one that created it keeps its descriptor. To be sent as bytes.
  struct Handle {
    int64_t process = 0;
    int64_t descriptor = -1;  // below 0: there is none
    int64_t bytes = 0;
  };

  SharedMemory() = default;  // of nothing
  // All zero; takes address space, and no memory before reserve(). Throws Error(out_of_memory).
  static SharedMemory create(int64_t bytes);
  // Throws Error(configuration) where the kernel does not let this process see the other's memory.
  static SharedMemory open(const Handle& handle);
  SharedMemory(SharedMemory&& other) noexcept { *this = static_cast<SharedMemory&&>(other); }
  SharedMemory& operator=(SharedMemory&& other) noexcept;
  ~SharedMemory();

  Handle handle() const;
  char* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

  // Gives [offset, offset + bytes) its pages now, so that a lack of memory is an Error(out_of_memory) here and no signal at the
  // first touch. REQUIRES the descriptor.
  void reserve(int64_t offset, int64_t bytes);
  // Nobody can open it any more; what is mapped stays.
  void close_descriptor();

 private:
  int descriptor_ = -1;
  char* data_ = nullptr;
  int64_t bytes_ = 0;
};

}  // namespace zerorun
