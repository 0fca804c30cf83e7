#include "core/ops/kernels/softmax_rows.h"

#include <limits>

#include "tests/gpu/reference.h"

namespace zerorun::ops {
namespace {

using namespace device;

constexpr int64_t kIgnored = -100;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::vector<int64_t> widths() {
  std::vector<int64_t> all = {768, 4097, 50257};
  for (int64_t w = 1; w <= 70; ++w) all.push_back(w);
  return all;
}

// Row by row, in fp64.
template <typename Number>
void cross_entropy(const std::vector<Number>& logits, int64_t count, const std::vector<int64_t>& target, float scale, std::vector<double>& loss,
                   std::vector<double>& gradient) {
  for (size_t r = 0; r < target.size(); ++r) {
    const auto* row = logits.data() + static_cast<int64_t>(r) * count;
    double maximum = -kInfinity, sum = 0;
    for (int64_t i = 0; i < count; ++i) maximum = std::max(maximum, static_cast<double>(row[i]));
    for (int64_t i = 0; i < count; ++i) sum += std::exp(static_cast<double>(row[i]) - maximum);
    const bool ignored = target[r] == kIgnored;
    loss.push_back(ignored ? 0 : std::log(sum) + maximum - static_cast<double>(row[target[r]]));
    for (int64_t i = 0; i < count; ++i) {
      gradient.push_back(ignored ? 0 : scale * (std::exp(static_cast<double>(row[i]) - maximum) / sum - (i == target[r] ? 1 : 0)));
    }
  }
}

TEST(GpuSoftmaxRows, CrossEntropyIsThatOfFp64) {
  for_each_number([&](auto zero, const char* dtype) {
    using Number = decltype(zero);
    for (const int64_t count : widths()) {
      const std::vector<int64_t> target{0, count - 1, kIgnored, count / 2};
      const auto logits = random_values<Number>(4 * count, 1, 5);
      for (const int64_t shift : {0, 1}) {
        for (const float scale : {0.0f, 0.25f}) {
          if (count > 70 && shift == 1 && scale == 0) continue;
          std::vector<double> loss, gradient;
          cross_entropy(logits, count, target, scale, loss, gradient);
          const Buffer<Number> of(logits, shift);
          const Buffer<int64_t> targets(target);
          const Buffer<double> losses(4);
          set_order(static_cast<unsigned int>(count % 2));
          softmax_cross_entropy_rows({kType<Number>, 4, count, count, of.data(), targets.data(), kIgnored, losses.data(), scale}, GpuStream{});
          const auto name = std::string(dtype) + ", " + std::to_string(count) + " logits, shift " + std::to_string(shift);
          const auto got = losses.values();
          for (size_t r = 0; r < 4; ++r) EXPECT_NEAR(got[r], loss[r], 3e-6 * (1 + loss[r])) << name;
          if (scale == 0) {
            expect_same_bits(of.values(), logits, name);
          } else {
            expect_near(of.values(), gradient, name, std::is_same_v<Number, float> ? 100 : 1.05, 1e-7);
          }
        }
      }
    }
  });
}

TEST(GpuSoftmaxRows, RowsOfLogitsMayLieApart) {
  constexpr int64_t kCount = 61, kStride = 64, kRows = 3;
  const auto dense = random_values<float>(kRows * kCount, 1);
  std::vector<float> apart(kRows * kStride, 7);
  for (int64_t r = 0; r < kRows; ++r) std::copy_n(dense.begin() + r * kCount, kCount, apart.begin() + r * kStride);
  const Buffer<float> one(dense), other(apart);
  const Buffer<int64_t> targets(std::vector<int64_t>{60, kIgnored, 61});
  const Buffer<double> loss_of_one(kRows), loss_of_other(kRows);
  softmax_cross_entropy_rows({at::kFloat, kRows, kCount, kCount, one.data(), targets.data(), kIgnored, loss_of_one.data(), 1}, GpuStream{});
  softmax_cross_entropy_rows({at::kFloat, kRows, kCount, kStride, other.data(), targets.data(), kIgnored, loss_of_other.data(), 1}, GpuStream{});
  const auto wanted = one.values();
  for (int64_t r = 0; r < kRows; ++r) std::copy_n(wanted.begin() + r * kCount, kCount, apart.begin() + r * kStride);
  expect_same_bits(other.values(), apart, "gradients, and what lies between rows");
  expect_same_bits(loss_of_other.values(), loss_of_one.values(), "losses");
}

TEST(GpuSoftmaxRows, CrossEntropyOfWhatIsNotFinite) {
  constexpr float kInf = std::numeric_limits<float>::infinity(), kNaN = std::numeric_limits<float>::quiet_NaN();
  for (const int64_t count : {5, 300}) {
    const auto of = [&](int64_t at, float value, int64_t target) {
      auto logits = random_values<float>(count, 1);
      logits[static_cast<size_t>(at)] = value;
      const Buffer<float> row(logits);
      const Buffer<int64_t> targets(std::vector<int64_t>{target});
      const Buffer<double> loss(1);
      softmax_cross_entropy_rows({at::kFloat, 1, count, count, row.data(), targets.data(), kIgnored, loss.data(), 1}, GpuStream{});
      const double processor = target < count && target >= 0 ? softmax_cross_entropy_row(logits.data(), count, target, 1) : kNaN;
      const double got = loss.values()[0];
      EXPECT_TRUE(std::isnan(got) ? std::isnan(processor) : got == processor || std::abs(got - processor) < 1e-5) << got << " and " << processor;
      return got;
    };
    for (const int64_t at : {int64_t{0}, int64_t{3}, count - 1}) {
      EXPECT_TRUE(std::isnan(of(at, kNaN, 1)));
      EXPECT_TRUE(std::isnan(of(at, kInf, 1)));
      EXPECT_TRUE(std::isfinite(of(at, -kInf, 1)));
      EXPECT_EQ(of(at, -kInf, at), kInfinity);
      EXPECT_TRUE(std::isfinite(of(at, -3e38f, 1)));
    }
    EXPECT_TRUE(std::isnan(of(0, 0, count)));
    EXPECT_TRUE(std::isnan(of(0, 0, -1)));
  }
}

TEST(GpuSoftmaxRows, ATargetOutsideOfTheVocabularyGivesAGradientThatIsNotANumber) {
  const Buffer<float> row(random_values<float>(70, 1));
  const Buffer<int64_t> target(std::vector<int64_t>{70});
  const Buffer<double> loss(1);
  softmax_cross_entropy_rows({at::kFloat, 1, 70, 70, row.data(), target.data(), kIgnored, loss.data(), 1}, GpuStream{});
  for (const float value : row.values()) EXPECT_TRUE(std::isnan(value));
}

struct Causal {
  int64_t heads, rows, keys, first_row;
};

const std::vector<Causal> kCausal = {{1, 1, 1, 0}, {2, 3, 3, 0}, {2, 4, 9, 5}, {1, 5, 64, 59}, {3, 7, 70, 40}, {1, 3, 1500, 1100}, {2, 2, 2048, 0}};

TEST(GpuSoftmaxRows, CausalRowsSeeNothingThatComesAfterThem) {
  constexpr float kScale = 0.3f;
  for (const auto& c : kCausal) {
    const int64_t stride = c.rows + 2, count = c.heads * c.rows * c.keys;
    const auto scores = random_values<float>(count, 1, 9);
    std::vector<double> wanted(scores.size());
    std::vector<double> logarithms;
    for (int64_t row = 0; row < c.heads * c.rows; ++row) {
      const auto* of = scores.data() + row * c.keys;
      const int64_t seen = std::min(c.keys, c.first_row + row % c.rows + 1);
      double sum = 0;
      for (int64_t k = 0; k < seen; ++k) sum += std::exp(static_cast<double>(kScale) * of[k]);
      for (int64_t k = 0; k < seen; ++k) wanted[static_cast<size_t>(row * c.keys + k)] = std::exp(static_cast<double>(kScale) * of[k]) / sum;
      logarithms.push_back(std::log(sum));
    }
    for (const int64_t shift : {0, 1}) {
      const Buffer<float> of(scores, shift), again(scores, shift), log_sum_exp(c.heads * stride, shift);
      set_order(static_cast<unsigned int>(shift));
      causal_softmax_rows({c.heads, c.rows, c.keys, c.first_row, kScale, of.data(), log_sum_exp.data(), stride, false}, GpuStream{});
      causal_softmax_rows({c.heads, c.rows, c.keys, c.first_row, kScale, again.data(), log_sum_exp.data(), stride, true}, GpuStream{});
      expect_near(of.values(), wanted, "probabilities", 200, 1e-9);
      expect_near(again.values(), wanted, "probabilities that are known", 200, 1e-9);
      const auto got = log_sum_exp.values();
      for (int64_t i = 0; i < c.heads * stride; ++i) {
        const auto value = got[static_cast<size_t>(i)];
        if (i % stride < c.rows) {
          EXPECT_NEAR(value, logarithms[static_cast<size_t>(i / stride * c.rows + i % stride)], 1e-5);
        } else {
          EXPECT_TRUE(std::isnan(value)) << "written between heads";
        }
      }
    }
  }
}

TEST(GpuSoftmaxRows, CausalGradients) {
  for (const auto& c : kCausal) {
    const int64_t stride = c.rows + 1, count = c.heads * c.rows * c.keys;
    const auto probabilities = random_values<float>(count, 1), delta = random_values<float>(c.heads * stride, 2), gradient = random_values<float>(count, 3);
    std::vector<double> wanted;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t row = i / c.keys, at = row / c.rows * stride + row % c.rows;
      const auto k = static_cast<size_t>(i);
      wanted.push_back(0.3 * probabilities[k] * (static_cast<double>(gradient[k]) - delta[static_cast<size_t>(at)]));
    }
    for (const int64_t shift : {0, 1}) {
      const Buffer<float> p(probabilities, shift), d(delta), g(gradient, shift);
      causal_softmax_gradient_rows({c.heads, c.rows, c.keys, 0.3f, p.data(), d.data(), stride, g.data()}, GpuStream{});
      expect_near(g.values(), wanted, "gradients", 8, 1e-6);
    }
  }
}

}  // namespace
}  // namespace zerorun::ops
