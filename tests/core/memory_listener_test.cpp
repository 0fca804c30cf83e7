// Who listens to a ledger.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/memory.h"

namespace zerorun {
namespace {

at::Tensor bytes(int64_t count) { return at::empty({count}, at::TensorOptions().dtype(at::kByte).device(at::kMeta)); }

// Keeps the sums of what it hears.
class Sums final : public MemoryListener {
 public:
  void changed(Category category, int64_t bytes) override { (category == Category::host ? host : rest) += bytes, ++changes; }
  int64_t host = 0, rest = 0;
  int changes = 0;
};

TEST(MemoryListener, HearsOfEveryChangeWhileItListens) {
  MemoryLedger ledger;
  Sums sums;
  const MemoryScope scope(ledger, Category::activations);
  const auto before = bytes(500);
  ledger.set_listener(&sums);
  auto small = bytes(1000), large = bytes(1 << 20);
  ledger.charge(Category::host, 70);
  EXPECT_EQ(sums.rest, 1000 + (1 << 20));
  EXPECT_EQ(sums.host, 70);
  large.reset();
  EXPECT_EQ(sums.rest, 1000);
  EXPECT_EQ(sums.changes, 4);
  ledger.set_listener(nullptr);
  small.reset();
  ledger.charge(Category::host, -70);
  EXPECT_EQ(sums.changes, 4);
}

}  // namespace
}  // namespace zerorun
