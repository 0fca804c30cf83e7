#include "core/ops/embedding.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <vector>

#include "core/error.h"
#include "core/gpu/gpu.h"
#include "core/memory.h"
#include "core/ops/gradient.h"
#include "core/ops/kernels/row_kernels.h"
#include "core/ops/moved.h"
#include "core/ops/side.h"

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
void sum_token_rows(const at::Tensor& tokens, const at::Tensor& gradient, at::Tensor& target, const at::Tensor& known_order) {
  if (side_of(target) == Side::gpu) {
    if (target.is_meta()) return;
    ZR_CHECK(known_order.defined(), "the embedding's gradient on a GPU needs the order of the tokens");
    return add_token_rows({target.scalar_type(), tokens.numel(), target.size(1), target.size(0), tokens.const_data_ptr<int64_t>(), known_order.const_data_ptr<int64_t>(),
                           gradient.const_data_ptr(), target.data_ptr()}, gpu::current_stream());
  }
  const MemoryScope workspace(Category::workspace);
  auto sorted = at::empty_like(tokens);
  if (target.is_meta()) return;
  auto* order = sorted.data_ptr<int64_t>();
  const auto* token = tokens.const_data_ptr<int64_t>();
  const int64_t count = tokens.numel();
  token_order(token, count, order);
  at::parallel_for(0, target.size(1), kColumnsPerTask, [&](int64_t begin, int64_t end) {
    for (int64_t first = 0, last; first < count; first = last) {
      for (last = first + 1; last < count && token[order[last]] == token[order[first]];) ++last;
      add_rows({target.scalar_type(), target.size(1), gradient.const_data_ptr(), order + first, 0, 0, last - first,
                row_of(target, token[order[first]])}, begin, end);
    }
  });
}

// target[first_position + t] += the sum over samples of row (b, t).
void sum_position_rows(const at::Tensor& gradient, int64_t first_position, at::Tensor& target) {
  if (target.is_meta()) return;
  if (target.is_cuda()) {
    return add_position_rows({target.scalar_type(), gradient.size(0), gradient.size(1), target.size(1), gradient.const_data_ptr(), row_of(target, first_position)},
                             gpu::current_stream());
  }
  at::parallel_for(0, gradient.size(1), 1, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      add_rows({target.scalar_type(), target.size(1), gradient.const_data_ptr(), nullptr, t, gradient.size(1), gradient.size(0),
                row_of(target, first_position + t)}, 0, target.size(1));
    }
  });
}

struct Embed : torch::autograd::Function<Embed> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& tokens, const at::Tensor& token_weight,
                            const std::optional<at::Tensor>& positions, int64_t first_position, const std::optional<at::Tensor>& order) {
    const at::Tensor position_weight = positions.value_or(at::Tensor());
    context->save_for_backward({tokens, token_weight, position_weight, order.value_or(at::Tensor())});
    context->saved_data["first_position"] = first_position;
    const int64_t columns = token_weight.size(1);
    auto out = at::empty({tokens.size(0), tokens.size(1), columns}, token_weight.options());
    count_moved(out, out);  // rows of the table, and what they become
    if (out.is_meta()) return out;
    if (out.is_cpu()) check_tokens(tokens, token_weight.size(0));
    const void* by_position = nullptr;
    if (positions) by_position = position_weight.narrow(0, first_position, tokens.size(1)).const_data_ptr();
    const Lookup lookup{out.scalar_type(), columns, tokens.size(1), tokens.const_data_ptr<int64_t>(), token_weight.const_data_ptr(),
                        by_position, out.data_ptr()};
    if (out.is_cuda()) {
      look_up_rows(lookup, tokens.numel(), token_weight.size(0), gpu::current_stream());
      return out;
    }
    at::parallel_for(0, tokens.numel(), std::max<int64_t>(kElementsPerTask / columns, 1),
                     [&](int64_t begin, int64_t end) { look_up_rows(lookup, begin, end); });
    return out;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto gradient = gradients[0].contiguous();
    count_moved(gradient);
    auto of_tokens = add_to_gradient(saved[1], [&](at::Tensor& sum) { sum_token_rows(saved[0], gradient, sum, saved[3]); });
    auto of_positions = add_to_gradient(
        saved[2], [&](at::Tensor& sum) { sum_position_rows(gradient, context->saved_data["first_position"].toInt(), sum); });
    return {at::Tensor(), of_tokens, of_positions, at::Tensor(), at::Tensor()};
  }
};

}  // namespace

// By counting, but for few tokens of a great vocabulary: a step on a GPU begins with it.
void token_order(const int64_t* tokens, int64_t count, int64_t* order) {
  const auto [least, greatest] = std::minmax_element(tokens, tokens + count);
  if (count == 0 || *least < 0 || *greatest / 16 > count) {
    std::iota(order, order + count, int64_t{0});
    return std::stable_sort(order, order + count, [tokens](int64_t a, int64_t b) { return tokens[a] < tokens[b]; });
  }
  std::vector<int64_t> next(static_cast<size_t>(*greatest) + 2);  // where the next row of each token comes
  for (int64_t i = 0; i < count; ++i) ++next[static_cast<size_t>(tokens[i]) + 1];
  std::partial_sum(next.begin(), next.end(), next.begin());
  for (int64_t i = 0; i < count; ++i) order[next[static_cast<size_t>(tokens[i])]++] = i;
}

at::Tensor embed(const at::Tensor& tokens, const at::Tensor& token_weight, const at::Tensor& position_weight, int64_t first_position, const at::Tensor& order) {
  ZR_CHECK(tokens.dim() == 2 && first_position >= 0 && (!position_weight.defined() || first_position + tokens.size(1) <= position_weight.size(0)),
           "{} tokens a sample from position {}, but {} positions", tokens.size(-1), first_position, position_weight.defined() ? position_weight.size(0) : 0);
  return Embed::apply(tokens, token_weight, position_weight.defined() ? std::optional(position_weight) : std::nullopt, first_position,
                      order.defined() ? std::optional(order) : std::nullopt);
}

}  // namespace zerorun::ops
