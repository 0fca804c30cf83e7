// The mask of dropout: its rate, what it depends on and what it does not.
#include "core/ops/dropout.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "core/ops/kernels/dropout_rows.h"
#include "core/random.h"
#include "tests/core/expect_same.h"

namespace zerorun::testing {
namespace {

const ops::DropoutKey kKey{.seed = 0x123456789abcdef0u, .step = 7, .first_sample = 20, .site = 3};

Tensor mask_of(const ops::DropoutKey& key, std::vector<int64_t> shape = {4, 6, 50}, double probability = 0.3) {
  return ops::dropout(at::ones(shape), probability, key) != 0;
}

TEST(Dropout, KeepsTheShareThatItShouldAndTheMean) {
  for (const double probability : {0.01, 0.1, 0.5, 0.9}) {
    const auto out = ops::dropout(at::ones({8, 100, 1001}), probability, kKey).to(at::kDouble);
    const auto count = static_cast<double>(out.numel());
    const double dropped = (out == 0).sum().item<double>() / count, deviation = std::sqrt(probability * (1 - probability) / count);
    EXPECT_NEAR(dropped, probability, 4 * deviation + 0x1p-17);
    EXPECT_NEAR(out.mean().item<double>(), 1, 4 * deviation / (1 - probability));
    EXPECT_NEAR(out.max().item<double>(), 1 / (1 - probability), 0x1p-15 / (1 - probability) / (1 - probability));
    // Neighbours in a row, a column and the batch are independent.
    for (const int64_t dimension : {0, 1, 2}) {
      const int64_t size = out.size(dimension) - 1;
      const auto kept = (out != 0).to(at::kDouble) - (1 - probability);
      const double correlation = (kept.narrow(dimension, 0, size) * kept.narrow(dimension, 1, size)).mean().item<double>();
      EXPECT_NEAR(correlation / (probability * (1 - probability)), 0, 5 / std::sqrt(count)) << dimension;
    }
  }
}

TEST(Dropout, DrawsWithThePhiloxOfTheHouse) {
  const ops::DropoutMask mask{{0xdeadbeef, 0x1234}, 30000, 2.0f};
  const int64_t sample = (int64_t{5} << 32) + 9;
  const at::Tensor ones = at::ones({1003});
  at::Tensor out = at::empty({1003});
  ops::drop_elements(mask, at::kFloat, sample, 8 * 77, 1003, ones.const_data_ptr(), out.data_ptr());
  for (int64_t i = 0; i < 1003; ++i) {
    const int64_t element = 8 * 77 + i;
    const auto words = philox4x32_10({static_cast<uint32_t>(element / 8), 0, 9, 5}, mask.key);
    const uint32_t draw = (words[element % 8 / 2] >> (16 * (element % 2))) & 0xffff;
    ASSERT_EQ(out[i].item<float>(), draw < 30000 ? 0.0f : 2.0f) << i;
  }
}

TEST(Dropout, DoesNotDependOnHowTheBatchIsSplit) {
  const auto whole = mask_of(kKey, {4, 70, 301});
  for (int64_t sample = 0; sample < 4; ++sample) {
    auto key = kKey;
    key.first_sample += sample;
    EXPECT_TRUE(at::equal(mask_of(key, {1, 70, 301})[0], whole[sample])) << sample;
  }
  set_compute_threads(2);
  EXPECT_TRUE(at::equal(mask_of(kKey, {4, 70, 301}), whole));
  set_compute_threads(1);
}

TEST(Dropout, IsAnotherForAnotherKeyAndSample) {
  const auto mask = mask_of(kKey);
  EXPECT_TRUE(at::equal(mask_of(kKey), mask));
  std::vector<ops::DropoutKey> others(6, kKey);
  others[0].seed ^= 1;
  others[1].seed ^= uint64_t{1} << 40;
  others[2].step += 1;
  others[3].step += int64_t{1} << 32;
  others[4].site += 1;
  others[5].first_sample += int64_t{1} << 32;
  for (const auto& other : others) EXPECT_NEAR((mask_of(other) == mask).to(at::kDouble).mean().item<double>(), 0.58, 0.1);
  EXPECT_FALSE(at::equal(mask[0], mask[1]));
}

TEST(Dropout, BackwardHasTheMaskOfForward) {
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    auto x = at::randn({3, 5, 70}).to(dtype).requires_grad_();
    const auto out = ops::dropout(x, 0.4, kKey);
    torch::autograd::backward({out}, {at::ones_like(out)});
    EXPECT_TRUE(at::equal(x.grad() != 0, out != 0));
    EXPECT_TRUE(at::allclose(out.to(at::kDouble), (x * x.grad()).to(at::kDouble), 0.02, 1e-3));
  }
}

TEST(Dropout, OfNothingReturnsItsInput) {
  const auto x = at::randn({2, 3, 4});
  EXPECT_TRUE(ops::dropout(x, 0, kKey).is_same(x));
}

TEST(Dropout, RefusesWhatIsNoProbability) {
  for (const double probability : {-0.1, 1.0, std::nan("")}) {
    try {
      ops::dropout(at::ones({1, 1, 1}), probability, kKey);
      FAIL() << probability;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::configuration);
    }
  }
}

TEST(Dropout, MetaTakesTheMemoryThatCpuTakes) {
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    expect_same_memory({{2, 37, 49}}, [](const Tensors& t) { return ops::dropout(t[0], 0.1, kKey); }, 1, dtype);
  }
}

}  // namespace
}  // namespace zerorun::testing
