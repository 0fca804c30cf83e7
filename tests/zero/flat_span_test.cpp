#include "zero/flat_span.h"
#include "zero/gradient_norm.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/threads.h"

namespace zerorun {
namespace {

Span span_of(const at::Tensor& tensor) { return {tensor.data_ptr(), tensor.numel(), tensor.scalar_type()}; }

// Values over the whole range of fp16, zeros, denormals, halves of an ulp.
at::Tensor values(int64_t count, at::ScalarType dtype) {
  at::manual_seed(1);
  auto wide = at::randn({count}) * at::pow(10, at::rand({count}) * 12 - 8);
  wide.narrow(0, 0, 3).copy_(at::tensor({0.0f, -0.0f, 1.0f + 1.0f / 256}));
  return wide.to(dtype);
}

const auto kDtypes = {at::kFloat, at::kBFloat16, at::kHalf};

TEST(FlatSpan, ConvertsAsLibTorchDoes) {
  for (const int threads : {1, 3}) {
    set_compute_threads(threads);
    for (const auto from : kDtypes) {
      for (const auto to : kDtypes) {
        const auto source = values(100'003, from);
        auto target = at::empty({source.numel()}, to);
        convert(span_of(source), span_of(target));
        EXPECT_TRUE(at::equal(target.view(at::kByte), source.to(at::kFloat).to(to).view(at::kByte))) << from << " to " << to;
      }
    }
  }
  set_compute_threads(1);
}

TEST(FlatSpan, AddsInFp32AndRoundsOnce) {
  for (const auto part : kDtypes) {
    for (const auto sum : kDtypes) {
      const auto addend = values(5'001, part);
      auto total = values(5'001, sum).flip(0).contiguous();
      const auto expected = (total.to(at::kFloat) + addend.to(at::kFloat)).to(sum);
      add(span_of(addend), span_of(total));
      EXPECT_TRUE(at::equal(total.view(at::kByte), expected.view(at::kByte))) << part << " onto " << sum;
    }
  }
}

// A slot of `count` elements of the wider dtype; the narrower lies at its end before it is widened.
TEST(FlatSpan, ConvertsWhereItLies) {
  for (const int64_t count : {64, 2048, 2049, 100'032}) {
    for (const auto from : kDtypes) {
      for (const auto to : kDtypes) {
        const auto source = values(count, from);
        const auto bytes = static_cast<int64_t>(std::max(c10::elementSize(from), c10::elementSize(to))) * count;
        auto slot = at::zeros({bytes}, at::kByte);
        auto written = slot.narrow(0, bytes - static_cast<int64_t>(source.nbytes()), static_cast<int64_t>(source.nbytes())).view(from);
        written.copy_(source);
        convert_in_place(span_of(written), {slot.data_ptr(), count, to});
        const auto converted = slot.narrow(0, 0, count * static_cast<int64_t>(c10::elementSize(to))).view(to);
        EXPECT_TRUE(at::equal(converted.view(at::kByte), source.to(at::kFloat).to(to).view(at::kByte))) << count << " " << from << " to " << to;
      }
    }
  }
}

TEST(FlatSpan, SquaresAreSummedInDouble) {
  for (const auto dtype : kDtypes) {
    const auto source = at::randn({100'003}).to(dtype);
    const double expected = source.to(at::kDouble).square().sum().item<double>();
    const double one = sum_of_squares(span_of(source));
    EXPECT_NEAR(one, expected, 1e-9 * expected);
    set_compute_threads(3);
    EXPECT_EQ(sum_of_squares(span_of(source)), one) << dtype;
    set_compute_threads(1);
  }
}

}  // namespace
}  // namespace zerorun
