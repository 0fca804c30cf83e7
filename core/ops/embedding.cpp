#include "core/ops/embedding.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <numeric>
#include <optional>

#include "core/error.h"
#include "core/memory.h"
#include "core/ops/gradient.h"
#include "core/ops/kernels/row_kernels.h"

namespace zerorun::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kColumnsPerTask = 64, kElementsPerTask = 1 << 14;

void check_tokens(const at::Tensor& tokens, int64_t vocabulary) {
  ZR_CHECK(tokens.is_contiguous(), "tokens of strides {} and {}, expected them contiguous", tokens.stride(0), tokens.stride(1));
  const auto* token = tokens.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < tokens.numel(); ++i) {
    if (token[i] < 0 || token[i] >= vocabulary) {
      fail(ErrorKind::bad_data, "token {} is outside the vocabulary of {}", token[i], vocabulary);
    }
  }
}

char* row_of(at::Tensor& weight, int64_t row) { return static_cast<char*>(weight.data_ptr()) + row * weight.size(1) * weight.element_size(); }

// target[token] += the sum of its rows.
void add_token_rows(const at::Tensor& tokens, const at::Tensor& gradient, at::Tensor& target) {
  const MemoryScope workspace(Category::workspace);
  auto sorted = at::empty_like(tokens);
  if (target.is_meta()) return;
  auto* order = sorted.data_ptr<int64_t>();
  const auto* token = tokens.const_data_ptr<int64_t>();
  const int64_t count = tokens.numel();
  std::iota(order, order + count, int64_t{0});
  std::sort(order, order + count, [token](int64_t a, int64_t b) { return token[a] != token[b] ? token[a] < token[b] : a < b; });
  at::parallel_for(0, target.size(1), kColumnsPerTask, [&](int64_t begin, int64_t end) {
    for (int64_t first = 0, last; first < count; first = last) {
      for (last = first + 1; last < count && token[order[last]] == token[order[first]];) ++last;
      add_rows({target.scalar_type(), target.size(1), gradient.const_data_ptr(), order + first, 0, 0, last - first,
                row_of(target, token[order[first]])}, begin, end);
    }
  });
}

// target[first_position + t] += the sum over samples of row (b, t).
void add_position_rows(const at::Tensor& gradient, int64_t first_position, at::Tensor& target) {
  if (target.is_meta()) return;
  at::parallel_for(0, gradient.size(1), 1, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      add_rows({target.scalar_type(), target.size(1), gradient.const_data_ptr(), nullptr, t, gradient.size(1), gradient.size(0),
                row_of(target, first_position + t)}, 0, target.size(1));
    }
  });
}

struct Embed : torch::autograd::Function<Embed> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& tokens, const at::Tensor& token_weight,
                            const std::optional<at::Tensor>& positions, int64_t first_position) {
    const at::Tensor position_weight = positions.value_or(at::Tensor());
    context->save_for_backward({tokens, token_weight, position_weight});
    context->saved_data["first_position"] = first_position;
    const int64_t columns = token_weight.size(1);
    auto out = at::empty({tokens.size(0), tokens.size(1), columns}, token_weight.options());
    if (out.is_meta()) return out;
    check_tokens(tokens, token_weight.size(0));
    const void* by_position = nullptr;
    if (positions) by_position = position_weight.narrow(0, first_position, tokens.size(1)).const_data_ptr();
    const Lookup lookup{out.scalar_type(), columns, tokens.size(1), tokens.const_data_ptr<int64_t>(), token_weight.const_data_ptr(),
                        by_position, out.data_ptr()};
    at::parallel_for(0, tokens.numel(), std::max<int64_t>(kElementsPerTask / columns, 1),
                     [&](int64_t begin, int64_t end) { look_up_rows(lookup, begin, end); });
    return out;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto gradient = gradients[0].contiguous();
    auto of_tokens = add_to_gradient(saved[1], [&](at::Tensor& sum) { add_token_rows(saved[0], gradient, sum); });
    auto of_positions = add_to_gradient(
        saved[2], [&](at::Tensor& sum) { add_position_rows(gradient, context->saved_data["first_position"].toInt(), sum); });
    return {at::Tensor(), of_tokens, of_positions, at::Tensor()};
  }
};

}  // namespace

at::Tensor embed(const at::Tensor& tokens, const at::Tensor& token_weight, const at::Tensor& position_weight, int64_t first_position) {
  ZR_CHECK(tokens.dim() == 2 && first_position >= 0 && first_position + tokens.size(1) <= position_weight.size(0),
           "{} tokens a sample from position {}, but {} positions", tokens.size(-1), first_position, position_weight.size(0));
  return Embed::apply(tokens, token_weight, std::optional(position_weight), first_position);
}

at::Tensor embed(const at::Tensor& tokens, const at::Tensor& token_weight) {
  return Embed::apply(tokens, token_weight, std::nullopt, int64_t{0});
}

}  // namespace zerorun::ops
