#include <algorithm>
#include <numeric>

#include "core/ops/kernels/row_kernels.h"
#include "tests/gpu/reference.h"

namespace zerorun::ops {
namespace {

using namespace device;

constexpr int64_t kVocabulary = 11, kSamples = 3, kSeqLen = 9, kRows = kSamples * kSeqLen;

std::vector<int64_t> tokens() {
  std::vector<int64_t> token(static_cast<size_t>(kRows));
  std::mt19937 generator(3);
  for (auto& of_row : token) of_row = static_cast<int64_t>(generator() % 4 == 0 ? generator() % kVocabulary : 7);  // one is frequent
  return token;
}

std::string name_of(const char* dtype, int64_t columns, int64_t shift) {
  return std::string(dtype) + ", " + std::to_string(columns) + " columns, shift " + std::to_string(shift);
}

const std::vector<int64_t> kColumns = {1, 2, 3, 8, 64, 70, 301};

TEST(GpuEmbeddingRows, LooksUpTheProcessorsBits) {
  for_each_number([&](auto zero, const char* dtype) {
    using Number = decltype(zero);
    for (const int64_t columns : kColumns) {
      for (const int64_t shift : {0, 1}) {
        const auto token = tokens();
        const auto by_token = random_values<Number>(kVocabulary * columns, 1), by_position = random_values<Number>(kSeqLen * columns, 2);
        const Buffer<int64_t> of(token);
        const Buffer<Number> a(by_token, shift), b(by_position, shift);
        for (const bool positions : {true, false}) {
          std::vector<Number> out(static_cast<size_t>(kRows * columns));
          look_up_rows({kType<Number>, columns, kSeqLen, token.data(), by_token.data(), positions ? by_position.data() : nullptr, out.data()}, 0, kRows);
          const Buffer<Number> to(kRows * columns, shift);
          look_up_rows({kType<Number>, columns, kSeqLen, of.data(), a.data(), positions ? b.data() : nullptr, to.data()}, kRows, kVocabulary, GpuStream{});
          expect_same_bits(to.values(), out, name_of(dtype, columns, shift));
        }
      }
    }
  });
}

TEST(GpuEmbeddingRows, ATokenOutsideOfTheVocabularyGivesARowThatIsNotANumber) {
  for (const int64_t columns : {3, 8}) {
    const Buffer<int64_t> token(std::vector<int64_t>{1, -1, kVocabulary, int64_t{1} << 60, 0});
    const Buffer<float> by_token(random_values<float>(kVocabulary * columns, 1)), by_position(random_values<float>(5 * columns, 2)), to(5 * columns);
    look_up_rows({at::kFloat, columns, 5, token.data(), by_token.data(), by_position.data(), to.data()}, 5, kVocabulary, GpuStream{});
    const auto out = to.values();
    for (int64_t i = 0; i < 5 * columns; ++i) EXPECT_EQ(std::isnan(out[static_cast<size_t>(i)]), i / columns >= 1 && i / columns <= 3) << i;
  }
}

TEST(GpuEmbeddingRows, AddsTheRowsOfATokenInOrder) {
  for_each_number([&](auto zero, const char* dtype) {
    using Number = decltype(zero);
    for (const int64_t columns : kColumns) {
      for (const int64_t shift : {0, 1}) {
        const auto token = tokens();
        std::vector<int64_t> order(token.size());
        std::iota(order.begin(), order.end(), int64_t{0});
        std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return token[static_cast<size_t>(a)] < token[static_cast<size_t>(b)]; });
        const auto gradient = random_values<Number>(kRows * columns, 1);
        auto weight = random_values<Number>(kVocabulary * columns, 2);
        const Buffer<Number> from(gradient, shift), sum(weight, shift);
        const Buffer<int64_t> of(token), by_token(order);
        for (int64_t t = 0; t < kVocabulary; ++t) {
          std::vector<int64_t> rows;
          std::copy_if(order.begin(), order.end(), std::back_inserter(rows), [&](int64_t row) { return token[static_cast<size_t>(row)] == t; });
          if (rows.empty()) continue;
          add_rows({kType<Number>, columns, gradient.data(), rows.data(), 0, 0, static_cast<int64_t>(rows.size()), weight.data() + t * columns}, 0, columns);
        }
        set_order(static_cast<unsigned int>(columns % 3));
        add_token_rows({kType<Number>, kRows, columns, kVocabulary, of.data(), by_token.data(), from.data(), sum.data()}, GpuStream{});
        expect_same_bits(sum.values(), weight, name_of(dtype, columns, shift));
      }
    }
  });
}

// Runs of every length: their ends are searched for.
TEST(GpuEmbeddingRows, FindsTheEndOfEveryRun) {
  for (const int64_t rows : {1, 2, 3, 4, 5, 8, 9, 40}) {
    for (int64_t first = 0; first <= rows; ++first) {  // rows of token 1, the others of token 0
      std::vector<int64_t> token(static_cast<size_t>(rows)), order(token.size());
      for (int64_t r = 0; r < rows; ++r) token[static_cast<size_t>(r)] = r < first ? 1 : 0;
      std::iota(order.begin(), order.end(), int64_t{0});
      const Buffer<int64_t> of(token), by_token(order);
      const Buffer<float> gradient(std::vector<float>(token.size(), 1.0f)), weight(std::vector<float>{0, 0});
      add_token_rows({at::kFloat, rows, 1, 2, of.data(), by_token.data(), gradient.data(), weight.data()}, GpuStream{});
      EXPECT_EQ(weight.values(), (std::vector<float>{static_cast<float>(rows - first), static_cast<float>(first)})) << first << " of " << rows;
    }
  }
}

TEST(GpuEmbeddingRows, LeavesOutTheRowsOfTokensOutsideOfTheVocabulary) {
  const Buffer<int64_t> of({7, 1, -1, 1}), by_token({2, 1, 3, 0});
  const Buffer<float> gradient(std::vector<float>{1, 2, 4, 8}), weight(std::vector<float>{0, 0});
  add_token_rows({at::kFloat, 4, 1, 2, of.data(), by_token.data(), gradient.data(), weight.data()}, GpuStream{});
  EXPECT_EQ(weight.values(), (std::vector<float>{0, 10}));
}

TEST(GpuEmbeddingRows, AddsTheRowsOfAPositionInOrder) {
  for_each_number([&](auto zero, const char* dtype) {
    using Number = decltype(zero);
    for (const int64_t columns : kColumns) {
      for (const int64_t shift : {0, 1}) {
        const auto gradient = random_values<Number>(kRows * columns, 1);
        auto sum = random_values<Number>(kSeqLen * columns, 2);
        const Buffer<Number> from(gradient, shift), to(sum, shift);
        for (int64_t t = 0; t < kSeqLen; ++t) {
          add_rows({kType<Number>, columns, gradient.data(), nullptr, t, kSeqLen, kSamples, sum.data() + t * columns}, 0, columns);
        }
        add_position_rows({kType<Number>, kSamples, kSeqLen, columns, from.data(), to.data()}, GpuStream{});
        expect_same_bits(to.values(), sum, name_of(dtype, columns, shift));
      }
    }
  });
}

}  // namespace
}  // namespace zerorun::ops
