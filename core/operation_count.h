// What operations ask of a device, counted where they are asked for: on the meta device too, where none is done. Those of the ops here: what a unit asks LibTorch for itself is
// not counted, nor are updates. The time that it takes at least is that of the roofline model (Williams, Waterman, Patterson 2009): of the floating-point operations, or of the
// bytes that memory has to give.
#pragma once
#include <cstdint>
#include <limits>
#include <utility>

namespace zerorun {

struct OperationCount {
  int64_t flops = 0;     // of matrix products and attention
  int64_t operands = 0;  // bytes that those read and write
  int64_t moved = 0;     // bytes that what computes little reads and writes: norms, activation functions, dropout, embeddings, the softmax of logits
  bool operator==(const OperationCount&) const = default;
};

// Adds to `count` what this thread asks for while the scope lives. Scopes nest; the inner one counts alone.
class CountScope {
 public:
  explicit CountScope(OperationCount& count) : enclosing_(std::exchange(current(), &count)) {}
  ~CountScope() { current() = enclosing_; }
  CountScope(const CountScope&) = delete;
  CountScope& operator=(const CountScope&) = delete;

  static void product(int64_t flops, int64_t operands) {
    if (!current()) return;
    add(flops, current()->flops);
    add(operands, current()->operands);
  }
  static void moved(int64_t bytes) {
    if (current()) add(bytes, current()->moved);
  }

 private:
  static void add(int64_t amount, int64_t& sum) {
    if (__builtin_add_overflow(sum, amount, &sum)) sum = std::numeric_limits<int64_t>::max();
  }
  static OperationCount*& current() {
    static thread_local OperationCount* count = nullptr;
    return count;
  }
  OperationCount* enclosing_;
};

}  // namespace zerorun
