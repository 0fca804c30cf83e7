#include "core/ops/kernels/row_kernels.h"

#include <tuple>

#include "tests/gpu/reference.h"

namespace zerorun::ops {
namespace {

using namespace device;

const std::vector<int64_t> kCounts = {1, 2, 3, 7, 8, 9, 63, 64, 65, 257, 4097, 50257};

std::string name_of(const char* dtype, int64_t count, int64_t shift) {
  return std::string(dtype) + ", " + std::to_string(count) + ", shift " + std::to_string(shift);
}

TEST(GpuRowKernels, SwigluGivesTheProcessorsBits) {
  for_each_number([&](auto zero, const char* dtype) {
    using Number = decltype(zero);
    for (const int64_t count : kCounts) {
      for (const int64_t shift : {0, 3}) {
        auto gate = random_values<Number>(count, 1, 6), up = random_values<Number>(count, 2), gradient = random_values<Number>(count, 3);
        gate[0] = static_cast<Number>(-100.0f);
        std::vector<Number> out(gate.size()), dgate(gate.size()), dup(gate.size());
        const SwigluPart part{kType<Number>, gate.data(), up.data(), out.data(), gradient.data(), dgate.data(), dup.data()};
        swiglu_part(part, 0, count);
        swiglu_gradient_part(part, 0, count);
        const Buffer<Number> a(gate, shift), b(up, shift), g(gradient, shift), to(count, shift), da(count, shift), db(count, shift);
        const SwigluPart on_gpu{kType<Number>, a.data(), b.data(), to.data(), g.data(), da.data(), db.data()};
        swiglu_part(on_gpu, count, GpuStream{});
        swiglu_gradient_part(on_gpu, count, GpuStream{});
        expect_same_bits(to.values(), out, name_of(dtype, count, shift));
        expect_same_bits(da.values(), dgate, name_of(dtype, count, shift));
        expect_same_bits(db.values(), dup, name_of(dtype, count, shift));
      }
    }
  });
}

TEST(GpuRowKernels, SwigluIsThatOfFp64) {
  for_each_number([&](auto zero, const char* dtype) {
    using Number = decltype(zero);
    const auto gate = random_values<Number>(1001, 1, 3), up = random_values<Number>(1001, 2);
    std::vector<double> wanted;
    for (size_t i = 0; i < gate.size(); ++i) {
      const auto x = static_cast<double>(gate[i]);
      wanted.push_back(x / (1 + std::exp(-x)) * static_cast<double>(up[i]));
    }
    const Buffer<Number> a(gate), b(up), to(1001);
    swiglu_part({kType<Number>, a.data(), b.data(), to.data(), nullptr, nullptr, nullptr}, 1001, GpuStream{});
    expect_near(to.values(), wanted, dtype, std::is_same_v<Number, float> ? 8 : 1.02);
  });
}

TEST(GpuRowKernels, TurnsGiveTheProcessorsBits) {
  for_each_number([&](auto zero, const char* dtype) {
    using Number = decltype(zero);
    for (const auto& [samples, seq_len, heads, head_dim] : {std::tuple{1, 1, 1, 2}, {2, 3, 2, 6}, {1, 5, 3, 16}, {3, 4, 2, 64}, {2, 7, 5, 24}}) {
      for (const int64_t shift : {0, 1}) {
        const int64_t rows = samples * seq_len, width = heads * head_dim, half = head_dim / 2;
        std::vector<float> table(static_cast<size_t>(2 * seq_len * half));
        fill_turns({table.data(), seq_len, 5, half, 10000, false}, 0, seq_len);
        const auto in = random_values<Number>(rows * width, 1);
        std::vector<Number> out(in.size());
        turn_rows(Turns{kType<Number>, seq_len, width, head_dim, table.data(), in.data(), out.data()}, 0, rows);
        const Buffer<float> angles(table, shift);
        const Buffer<Number> from(in, shift), to(rows * width, shift);
        turn_rows(Turns{kType<Number>, seq_len, width, head_dim, angles.data(), from.data(), to.data()}, rows, GpuStream{});
        expect_same_bits(to.values(), out, name_of(dtype, width, shift));
      }
    }
  });
}

// Libraries differ in the last bit of fp64, so that a number on the border between two of fp32 may fall to either side.
TEST(GpuRowKernels, AnglesAreTheProcessorsToOneRounding) {
  for (const bool back : {false, true}) {
    for (const int64_t half : {1, 3, 64}) {
      std::vector<float> table(static_cast<size_t>(2 * 37 * half));
      fill_turns({table.data(), 37, 1000, half, 500000, back}, 0, 37);
      const Buffer<float> angles(2 * 37 * half);
      fill_turns({angles.data(), 37, 1000, half, 500000, back}, GpuStream{});
      expect_near(angles.values(), table, back ? "back" : "forth", 2, 1e-12);
    }
  }
}

TEST(GpuRowKernels, ColumnsAreSummed) {
  for_each_number([&](auto zero, const char* dtype) {
    using Number = decltype(zero);
    for (const int64_t columns : {1, 2, 31, 32, 33, 64, 70, 771}) {
      for (const auto& [rows, blocks] : {std::pair<int64_t, int64_t>{1, 1}, {1, 4}, {10, 3}, {130, 2}, {200, 50}}) {
        const auto gradient = random_values<Number>(rows * columns, 1), before = random_values<Number>(columns, 2);
        std::vector<double> wanted;
        for (int64_t c = 0; c < columns; ++c) {
          wanted.push_back(static_cast<double>(before[static_cast<size_t>(c)]));
          for (int64_t r = 0; r < rows; ++r) wanted.back() += static_cast<double>(gradient[static_cast<size_t>(r * columns + c)]);
        }
        for (const int64_t shift : {0, 1}) {
          const Buffer<Number> of(gradient, shift), sum(before, shift);
          const Buffer<float> partial(blocks * columns, shift);
          set_order(static_cast<unsigned int>(shift));
          sum_columns({kType<Number>, kType<Number>, rows, columns, of.data(), sum.data()}, partial.data(), blocks, GpuStream{});
          expect_near(sum.values(), wanted, name_of(dtype, columns, shift), 1.02, 2e-5);
        }
      }
    }
  });
}

// fp32 gradients summed into a weight of 16 bits.
TEST(GpuRowKernels, ColumnSumsOfBlocksAsOnTheProcessorGiveItsBits) {
  constexpr int64_t kRows = 64, kColumns = 65;
  const auto gradient = random_values<float>(kRows * kColumns, 1);
  auto on_processor = random_values<BFloat16>(kColumns, 2);
  const Buffer<float> of(gradient), partial(kColumns);
  const Buffer<BFloat16> sum(on_processor);
  sum_columns({at::kFloat, at::kBFloat16, kRows, kColumns, gradient.data(), on_processor.data()}, 0, kColumns);
  sum_columns({at::kFloat, at::kBFloat16, kRows, kColumns, of.data(), sum.data()}, partial.data(), 1, GpuStream{});
  expect_same_bits(sum.values(), on_processor, "one block");
}

}  // namespace
}  // namespace zerorun::ops
