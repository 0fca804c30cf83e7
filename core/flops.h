// Floating-point operations of matrix products and attention, counted where they are asked for: on the meta device too, where none is done.
// Those of the ops here: what a unit asks LibTorch for itself is not counted. What reads memory more than it computes (norms, activation functions, updates) is not counted.
#pragma once
#include <cstdint>
#include <limits>
#include <utility>

namespace zerorun {

// Adds to `count` what this thread asks for while the scope lives. Scopes nest; the inner one counts alone.
class FlopScope {
 public:
  explicit FlopScope(int64_t& count) : enclosing_(std::exchange(current(), &count)) {}
  ~FlopScope() { current() = enclosing_; }
  FlopScope(const FlopScope&) = delete;
  FlopScope& operator=(const FlopScope&) = delete;

  static void add(int64_t flops) {
    if (current() && __builtin_add_overflow(*current(), flops, current())) *current() = std::numeric_limits<int64_t>::max();
  }

 private:
  static int64_t*& current() {
    static thread_local int64_t* count = nullptr;
    return count;
  }
  int64_t* enclosing_;
};

}  // namespace zerorun
