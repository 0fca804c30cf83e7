#include "launcher/dtype_speed.h"

#include <ATen/ops/empty_like.h>
#include <ATen/ops/ones.h>

#include <algorithm>
#include <chrono>
#include <limits>

#include "core/memory.h"
#include "core/ops/kernels/matrix_product.h"

namespace zerorun {
namespace {

constexpr int64_t kWidth = 192;
constexpr int kRuns = 3;

double seconds_of_product(const at::Tensor& a) {
  const auto out = at::empty_like(a);
  const auto start = std::chrono::steady_clock::now();
  ops::multiply(out, a, a);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

double slowdown_of(at::ScalarType dtype) {
  MemoryLedger ledger;
  const MemoryScope scope(ledger, Category::workspace);
  const auto wide = at::ones({kWidth, kWidth}), narrow = wide.to(dtype);
  double best_wide = std::numeric_limits<double>::max(), best_narrow = best_wide;
  for (int run = 0; run <= kRuns; ++run) {
    const double of_wide = seconds_of_product(wide), of_narrow = seconds_of_product(narrow);
    if (run == 0) continue;  // the first one prepares
    best_wide = std::min(best_wide, of_wide);
    best_narrow = std::min(best_narrow, of_narrow);
  }
  return best_narrow / best_wide;
}

}  // namespace zerorun
