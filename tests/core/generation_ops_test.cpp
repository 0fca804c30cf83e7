// The ops of generation give the rows that training would compute for the whole text.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "core/ops/attention.h"
#include "core/ops/cached_attention.h"
#include "core/ops/embedding.h"
#include "core/ops/rotary.h"
#include "tests/core/expect_same.h"

namespace zerorun::testing {
namespace {

constexpr at::ScalarType kDtypes[] = {at::kFloat, at::kBFloat16, at::kHalf};

double rounding_of(at::ScalarType dtype) { return dtype == at::kFloat ? 1e-5 : dtype == at::kBFloat16 ? 0x1p-7 : 0x1p-10; }

TEST(GenerationOps, AttendingToTheCacheIsTheLastRowOfAttention) {
  at::manual_seed(5);
  for (const auto dtype : kDtypes) {
    for (const int64_t head_dim : {8, 80, 300}) {
      for (const int64_t rows : {1, 5, 128, 129, 300}) {
        const auto query = at::randn({2, rows, 6 * head_dim}).to(dtype);
        // A cache with room for more, and what lies there is never read.
        const auto keys = at::full({2, rows + 7, 3 * head_dim}, NAN).to(dtype), values = keys.clone();
        keys.narrow(1, 0, rows).copy_(at::randn({2, rows, 3 * head_dim}));
        values.narrow(1, 0, rows).copy_(at::randn({2, rows, 3 * head_dim}));
        const auto k = keys.narrow(1, 0, rows), v = values.narrow(1, 0, rows);
        const auto whole = ops::causal_attention(query, k.contiguous(), v.contiguous(), head_dim).to(at::kDouble);
        const auto last = ops::attend_to_cache(query.narrow(1, rows - 1, 1), k, v, head_dim).to(at::kDouble);
        const auto expected = whole.narrow(1, rows - 1, 1);
        ASSERT_EQ(last.sizes(), expected.sizes());
        EXPECT_LE((last - expected).abs().max().item<double>(), rounding_of(dtype) * expected.abs().max().item<double>())
            << c10::toString(dtype) << ", " << rows << " rows, heads of " << head_dim;
      }
    }
  }
}

TEST(GenerationOps, PositionsStartWhereTheyAreToldTo) {
  const auto tokens = at::randint(0, 11, {2, 9}, at::kLong);
  for (const auto dtype : kDtypes) {
    const auto x = at::randn({2, 9, 24}).to(dtype), weight = at::randn({11, 24}).to(dtype), positions = at::randn({9, 24}).to(dtype);
    const auto turned = ops::rotary(x, 8, 100.0), embedded = ops::embed(tokens, weight, positions);
    for (const int64_t first : {0, 1, 4, 8}) {
      EXPECT_TRUE(at::equal(ops::rotary(x.narrow(1, first, 9 - first).contiguous(), 8, 100.0, first), turned.narrow(1, first, 9 - first)));
      EXPECT_TRUE(at::equal(ops::embed(tokens.narrow(1, first, 9 - first).contiguous(), weight, positions, first),
                            embedded.narrow(1, first, 9 - first)));
    }
    EXPECT_THROW(ops::embed(tokens, weight, positions, 1), Error);
  }
}

TEST(GenerationOps, GradientsGoToThePositionsThatWereRead) {
  const auto tokens = at::randint(0, 11, {3, 5}, at::kLong);
  expect_same({at::randn({11, 70}), at::randn({8, 70})}, [&](const Tensors& t) { return ops::embed(tokens, t[0], t[1], 2); },
              [&](const Tensors& t) { return at::embedding(t[0], tokens) + t[1].narrow(0, 2, 5); });
  constexpr int64_t kFirst = 3;
  const auto x = at::randn({2, 5, 12}), seed = at::randn({2, 5, 12});
  const auto padded = [&](const Tensor& part) { return at::cat({at::zeros({2, kFirst, 12}), part}, 1); };
  auto offset = leaves({x}, false), whole = leaves({padded(x)}, false);
  torch::autograd::backward({ops::rotary(offset[0], 6, 100.0, kFirst)}, {seed});
  torch::autograd::backward({ops::rotary(whole[0], 6, 100.0)}, {padded(seed)});
  EXPECT_TRUE(at::equal(offset[0].grad(), whole[0].grad().narrow(1, kFirst, 5)));
}

TEST(GenerationOps, MetaTakesTheMemoryThatCpuTakes) {
  const auto memory = [](at::Device device, int64_t positions, at::ScalarType dtype) {
    MemoryLedger ledger;
    const MemoryScope scope(ledger, Category::activations);
    const auto options = at::TensorOptions().device(device).dtype(dtype);
    const auto query = at::zeros({2, 3, 6 * 24}, options).narrow(1, 2, 1), keys = at::zeros({2, positions, 2 * 24}, options);
    const auto out = ops::attend_to_cache(query, keys, keys, 24);
    return std::pair(ledger.usage().total_peak, ledger.usage().total_now);
  };
  for (const int threads : {1, 2}) {
    set_compute_threads(threads);
    for (const auto dtype : kDtypes) {
      for (const int64_t positions : {1, 200}) EXPECT_EQ(memory(at::kCPU, positions, dtype), memory(at::kMeta, positions, dtype));
    }
  }
  set_compute_threads(1);
}

}  // namespace
}  // namespace zerorun::testing
