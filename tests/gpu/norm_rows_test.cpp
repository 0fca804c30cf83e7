#include "core/ops/kernels/norm_rows.h"

#include "tests/gpu/reference.h"

namespace zerorun::ops {
namespace {

using namespace device;

constexpr double kEps = 1e-5;
constexpr int64_t kBlockRows = 3;

const std::vector<int64_t> kWidths = [] {
  std::vector<int64_t> widths;
  for (int64_t w = 1; w <= 70; ++w) widths.push_back(w);
  for (const int64_t w : {256, 512, 768, 1024, 1025, 1032, 1280, 2048, 2056, 4096, 4097, 8192, 20480}) widths.push_back(w);
  return widths;
}();

struct Shape {
  int64_t rows, columns;
  bool layer;  // layer norm, with a mean and a bias, or RMS norm
  int64_t shift;
};

std::string name_of(const Shape& s, const char* dtype) {
  return std::string(s.layer ? "layer" : "rms") + " norm " + dtype + ", " + std::to_string(s.rows) + " x " + std::to_string(s.columns) + ", shift " + std::to_string(s.shift);
}

template <typename Body>
void for_each_shape(Body&& body) {
  for (const int64_t columns : kWidths) {
    for (const bool layer : {true, false}) {
      for (const int64_t rows : columns > 100 ? std::vector<int64_t>{2} : std::vector<int64_t>{1, 11}) {
        for (const int64_t shift : {0, 1}) body(Shape{rows, columns, layer, shift});
      }
    }
  }
}

template <typename Number>
struct Case {
  std::vector<Number> x, weight, bias, gradient, stream;
  std::vector<double> y, dx;           // references
  std::vector<float> mean, scale;      // as the processor's kernel has them
  std::vector<double> weight_sums, bias_sums;  // [blocks, columns]

  explicit Case(const Shape& s)
      : x(random_values<Number>(s.rows * s.columns, 1, 3)), weight(random_values<Number>(s.columns, 2)), bias(random_values<Number>(s.columns, 3)),
        gradient(random_values<Number>(s.rows * s.columns, 4)), stream(random_values<Number>(s.rows * s.columns, 5)) {
    const int64_t blocks = (s.rows + kBlockRows - 1) / kBlockRows;
    weight_sums.resize(static_cast<size_t>(blocks * s.columns));
    bias_sums.resize(weight_sums.size());
    for (int64_t r = 0; r < s.rows; ++r) row(s, r);
  }

  void row(const Shape& s, int64_t r) {
    const auto n = static_cast<double>(s.columns);
    const auto at = [&](const std::vector<Number>& of, int64_t c) { return static_cast<double>(of[static_cast<size_t>(r * s.columns + c)]); };
    const auto in = [&](const std::vector<Number>& of, int64_t c) { return static_cast<double>(of[static_cast<size_t>(c)]); };
    double m = 0, squares = 0, g_mean = 0, gz_mean = 0;
    for (int64_t c = 0; s.layer && c < s.columns; ++c) m += at(x, c) / n;
    for (int64_t c = 0; c < s.columns; ++c) squares += (at(x, c) - m) * (at(x, c) - m);
    const double factor = 1 / std::sqrt(squares / n + kEps);
    mean.push_back(static_cast<float>(m));
    scale.push_back(static_cast<float>(factor));
    for (int64_t c = 0; c < s.columns; ++c) {
      const double z = (at(x, c) - m) * factor, g = at(gradient, c) * in(weight, c);
      y.push_back(z * in(weight, c) + (s.layer ? in(bias, c) : 0));
      g_mean += s.layer ? g / n : 0;
      gz_mean += g * z / n;
      weight_sums[static_cast<size_t>(r / kBlockRows * s.columns + c)] += at(gradient, c) * z;
      bias_sums[static_cast<size_t>(r / kBlockRows * s.columns + c)] += at(gradient, c);
    }
    for (int64_t c = 0; c < s.columns; ++c) {
      const double z = (at(x, c) - m) * factor, g = at(gradient, c) * in(weight, c);
      dx.push_back(factor * (g - g_mean - z * gz_mean) + at(stream, c));
    }
  }
};

TEST(GpuNormRows, NormalisesAsFp64Does) {
  for_each_number([&](auto zero, const char* dtype) {
    using Number = decltype(zero);
    for_each_shape([&](const Shape& s) {
      const Case<Number> wanted(s);
      set_order(static_cast<unsigned int>(s.columns) % 3);
      const Buffer<Number> x(wanted.x, s.shift), weight(wanted.weight, s.shift), bias(wanted.bias, s.shift), y(s.rows * s.columns, s.shift);
      const Buffer<float> mean(s.rows), scale(s.rows);
      normalise_rows({kType<Number>, s.columns, kEps, x.data(), weight.data(), s.layer ? bias.data() : nullptr, s.layer ? mean.data() : nullptr, scale.data(),
                      y.data()},
                     s.rows, GpuStream{});
      expect_near(y.values(), wanted.y, name_of(s, dtype), 1.02, 3e-5);
      expect_near(scale.values(), wanted.scale, name_of(s, dtype), 30);
      if (s.layer) expect_near(mean.values(), wanted.mean, name_of(s, dtype), 30);
    });
  });
}

TEST(GpuNormRows, GradientsAreThoseOfFp64) {
  for_each_number([&](auto zero, const char* dtype) {
    using Number = decltype(zero);
    for_each_shape([&](const Shape& s) {
      const Case<Number> wanted(s);
      set_order(static_cast<unsigned int>(s.columns) % 3);
      const int64_t blocks = (s.rows + kBlockRows - 1) / kBlockRows;
      const Buffer<Number> x(wanted.x, s.shift), weight(wanted.weight, s.shift), gradient(wanted.gradient, s.shift), stream(wanted.stream, s.shift);
      const Buffer<Number> dx(s.rows * s.columns, s.shift);
      const Buffer<float> mean(wanted.mean), scale(wanted.scale), weight_sums(blocks * s.columns, s.shift), bias_sums(blocks * s.columns, s.shift);
      const NormGradientRows rows{kType<Number>, s.columns, gradient.data(), x.data(), weight.data(), stream.data(), s.layer ? mean.data() : nullptr,
                                  scale.data(), dx.data()};
      norm_gradient_rows(rows, s.rows, {kBlockRows, blocks, weight_sums.data(), s.layer ? bias_sums.data() : nullptr}, GpuStream{});
      // A row of few columns that are nearly alike has a large scale, which multiplies what has been cancelled.
      double largest = 1;
      for (const float of_row : wanted.scale) largest = std::max<double>(largest, of_row);
      expect_near(dx.values(), wanted.dx, name_of(s, dtype), 1.02, 3e-5 * largest * largest);
      expect_near(weight_sums.values(), wanted.weight_sums, name_of(s, dtype), 4, 1e-5 * largest);
      if (s.layer) expect_near(bias_sums.values(), wanted.bias_sums, name_of(s, dtype), 4, 1e-5);
    });
  });
}

// The processor adds the rows of a block in the same order.
TEST(GpuNormRows, SumsOfABlockAreThoseOfTheProcessorToTheBit) {
  for_each_number([&](auto zero, const char* dtype) {
    using Number = decltype(zero);
    for (const int64_t columns : {1, 7, 64, 771}) {
      const Shape s{8, columns, true, 0};
      const Case<Number> c(s);
      std::vector<float> weight_sums(static_cast<size_t>(3 * columns)), bias_sums(weight_sums.size());
      NormGradientRows rows{kType<Number>, columns, c.gradient.data(), c.x.data(), c.weight.data(), nullptr, c.mean.data(), c.scale.data(), nullptr};
      for (int64_t b = 0; b < 3; ++b) {
        norm_gradient_rows(rows, b * kBlockRows, std::min(s.rows, (b + 1) * kBlockRows), weight_sums.data() + b * columns, bias_sums.data() + b * columns);
      }
      const Buffer<Number> x(c.x), gradient(c.gradient), weight(c.weight);
      const Buffer<float> mean(c.mean), scale(c.scale), of_weight(3 * columns), of_bias(3 * columns);
      rows = {kType<Number>, columns, gradient.data(), x.data(), weight.data(), nullptr, mean.data(), scale.data(), nullptr};
      norm_gradient_rows(rows, s.rows, {kBlockRows, 3, of_weight.data(), of_bias.data()}, GpuStream{});
      expect_same_bits(of_weight.values(), weight_sums, name_of(s, dtype));
      expect_same_bits(of_bias.values(), bias_sums, name_of(s, dtype));
    }
  });
}

}  // namespace
}  // namespace zerorun::ops
