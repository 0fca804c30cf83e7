// What of a GPU decides how much scratch LibTorch's kernels take there.
#pragma once

namespace zerorun::gpu {

struct Shape {
  int multiprocessors = 132;   // of an H100 or H200
  bool deterministic = false;  // StartOptions
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
