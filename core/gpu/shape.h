// What of a GPU decides how much memory libraries take there: LibTorch's kernels as scratch, NCCL for what it allocates.
#pragma once
#include <cstdint>

namespace zerorun::gpu {

struct Shape {
  int multiprocessors = 132;   // of an H100 or H200
  bool deterministic = false;  // StartOptions
  int64_t slab_bytes = int64_t{2} << 20;  // that NCCL allocates at a time: more where a switch connects the GPUs (comm/slab_memory.h)
};

// On this thread: the GPU that the meta device stands for.
Shape foretold();

// While it lives, this thread foretells for such a GPU.
class Foretell {
 public:
  explicit Foretell(Shape shape);
  ~Foretell();
  Foretell(const Foretell&) = delete;
  Foretell& operator=(const Foretell&) = delete;

 private:
  const Shape enclosing_;
};

}  // namespace zerorun::gpu
