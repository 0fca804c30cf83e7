#include "core/ops/embedding.h"

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <optional>

#include "core/error.h"
#include "core/ops/gradient.h"

namespace zerorun::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kColumnsPerTask = 64;

void check_tokens(const at::Tensor& tokens, int64_t vocabulary) {
  const auto* token = tokens.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < tokens.numel(); ++i) {
    if (token[i] < 0 || token[i] >= vocabulary) {
      fail(ErrorKind::bad_data, "token {} is outside the vocabulary of {}", token[i], vocabulary);
    }
  }
}

// Runs row(i, token, position, begin, end) for every token and a range of columns; tokens in order within a range.
template <typename Row>
void for_each_row(const at::Tensor& tokens, int64_t columns, Row&& row) {
  const auto* token = tokens.const_data_ptr<int64_t>();
  const int64_t seq_len = tokens.size(1);
  at::parallel_for(0, columns, kColumnsPerTask, [&](int64_t begin, int64_t end) {
    for (int64_t i = 0; i < tokens.numel(); ++i) row(i, token[i], i % seq_len, begin, end);
  });
}

// target[row of the token] += gradient[i]
void add_token_rows(const at::Tensor& tokens, const at::Tensor& gradient, at::Tensor& target, bool by_position) {
  if (target.is_meta()) return;
  const int64_t columns = target.size(1);
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, target.scalar_type(), "embed_backward", [&] {
    const auto* from = gradient.const_data_ptr<scalar_t>();
    auto* to = target.data_ptr<scalar_t>();
    for_each_row(tokens, columns, [&](int64_t i, int64_t token, int64_t position, int64_t begin, int64_t end) {
      const auto* source = from + i * columns;
      auto* sum = to + (by_position ? position : token) * columns;
      for (int64_t c = begin; c < end; ++c) sum[c] += source[c];
    });
  });
}

struct Embed : torch::autograd::Function<Embed> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& tokens, const at::Tensor& token_weight,
                            const std::optional<at::Tensor>& positions) {
    const at::Tensor position_weight = positions.value_or(at::Tensor());
    context->save_for_backward({tokens, token_weight, position_weight});
    const int64_t columns = token_weight.size(1);
    auto out = at::empty({tokens.size(0), tokens.size(1), columns}, token_weight.options());
    if (out.is_meta()) return out;
    check_tokens(tokens, token_weight.size(0));
    AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, out.scalar_type(), "embed", [&] {
      const auto* by_token = token_weight.const_data_ptr<scalar_t>();
      const auto* by_position = position_weight.defined() ? position_weight.const_data_ptr<scalar_t>() : nullptr;
      auto* to = out.data_ptr<scalar_t>();
      for_each_row(tokens, columns, [&](int64_t i, int64_t token, int64_t position, int64_t begin, int64_t end) {
        const auto* a = by_token + token * columns;
        if (!by_position) {
          std::copy(a + begin, a + end, to + i * columns + begin);
          return;
        }
        const auto* b = by_position + position * columns;
        for (int64_t c = begin; c < end; ++c) to[i * columns + c] = a[c] + b[c];
      });
    });
    return out;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto gradient = gradients[0].contiguous();
    auto token_gradient =
        add_to_gradient(saved[1], [&](at::Tensor& sum) { add_token_rows(saved[0], gradient, sum, /*by_position=*/false); });
    auto position_gradient =
        add_to_gradient(saved[2], [&](at::Tensor& sum) { add_token_rows(saved[0], gradient, sum, /*by_position=*/true); });
    return {at::Tensor(), token_gradient, position_gradient};
  }
};

}  // namespace

at::Tensor embed(const at::Tensor& tokens, const at::Tensor& token_weight, const at::Tensor& position_weight) {
  ZR_CHECK(tokens.dim() == 2 && tokens.size(1) <= position_weight.size(0), "{} tokens a sample, but {} positions", tokens.size(-1),
           position_weight.size(0));
  return Embed::apply(tokens, token_weight, std::optional(position_weight));
}

at::Tensor embed(const at::Tensor& tokens, const at::Tensor& token_weight) { return Embed::apply(tokens, token_weight, std::nullopt); }

}  // namespace zerorun::ops
