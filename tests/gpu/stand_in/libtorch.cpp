// LibTorch's kernels for GPUs, those that zerorun calls: the processor's, in the order of the stream.
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/_flash_attention_backward_native.h>
#include <ATen/ops/_flash_attention_forward_native.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_strided.h>
#include <ATen/ops/from_blob.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/library.h>

#include <cmath>

#include "core/memory.h"
#include "tests/gpu/stand_in/memory.h"
#include "tests/gpu/stand_in/timeline.h"

namespace {

using at::Tensor;
using torch::jit::Stack;

// Of what the processor allocates to stand in, which is no run's.
zerorun::MemoryLedger& beside() {
  static auto& ledger = *new zerorun::MemoryLedger;
  return ledger;
}

// The same numbers, as a tensor of the processor's that does not keep them.
Tensor on_processor(const Tensor& tensor) {
  if (!tensor.defined() || !tensor.is_cuda()) return tensor;
  return at::from_blob(tensor.data_ptr(), tensor.sizes(), tensor.strides(), tensor.options().device(at::kCPU));
}

Tensor shape_of(const Tensor& tensor) {
  return tensor.defined() && tensor.is_cuda() ? at::empty_strided(tensor.sizes(), tensor.strides(), tensor.options().device(at::kMeta)) : tensor;
}

template <typename Change>
Stack changed(const Stack& values, Change&& change) {
  Stack all = values;
  for (auto& value : all) {
    if (value.isTensor()) value = change(value.toTensor());
    if (value.isTensorList()) {
      c10::List<Tensor> list;
      for (const Tensor& tensor : value.toTensorVector()) list.push_back(change(tensor));
      value = list;
    }
  }
  return all;
}

template <typename Body>
void submit(Body body) {
  stand_in::timeline_of(c10::cuda::getCurrentCUDAStream().stream()).submit([body = std::move(body)] {
    const at::NoGradGuard no_gradients;
    const at::AutoDispatchBelowAutograd below;
    const zerorun::MemoryScope scope(beside(), zerorun::Category::workspace);
    body();
  });
}

// Results of an op that makes new tensors: empty ones, of the shapes that the op has on the meta device.
Stack new_results(const c10::OperatorHandle& op, const Stack& arguments) {
  Stack made;
  {
    const zerorun::MemoryScope scope(beside(), zerorun::Category::workspace);
    made = changed(arguments, shape_of);
    op.callBoxed(made);
  }
  const auto device = c10::Device(c10::kCUDA, c10::cuda::current_device());
  return changed(made, [&](const Tensor& tensor) { return at::empty_strided(tensor.sizes(), tensor.strides(), tensor.options().device(device)); });
}

void run_later(const c10::OperatorHandle& op, Stack* stack) {
  if (stand_in::skips_kernels()) return;
  const auto& schema = op.schema();
  const Stack arguments = torch::jit::pop(*stack, schema.arguments().size());
  Stack results;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const auto* alias = schema.arguments()[i].alias_info();
    if (alias && alias->isWrite()) results.push_back(arguments[i]);
  }
  const bool is_new = results.empty();
  if (is_new) results = new_results(op, arguments);
  submit([op, here = changed(arguments, on_processor), to = is_new ? changed(results, on_processor) : Stack()] {
    Stack values = here;
    op.callBoxed(values);
    for (size_t i = 0; i < to.size(); ++i) to[i].toTensor().copy_(values[i].toTensor());
  });
  for (auto& result : results) stack->push_back(std::move(result));
}

bool is_pageable(const Tensor& tensor) { return stand_in::place_of(tensor.data_ptr()) == stand_in::Place::pageable; }

// What is pageable has been read, or written, when it returns.
Tensor& copy_later(Tensor& to, const Tensor& from, bool) {
  const zerorun::MemoryScope scope(beside(), zerorun::Category::workspace);
  submit([to = on_processor(to), from = is_pageable(from) ? from.clone() : on_processor(from)] { to.copy_(from); });
  if (is_pageable(to)) c10::cuda::getCurrentCUDAStream().synchronize();
  return to;
}

// [B, T, H, D] -> [B, H, T, D] in fp32, with as many heads as `heads`.
Tensor by_head(const Tensor& rows, int64_t heads) { return rows.transpose(1, 2).to(at::kFloat).repeat_interleave(heads / rows.size(2), 1); }

Tensor scores_of(const Tensor& query, const Tensor& key) {
  const auto scores = at::matmul(query, key.transpose(2, 3)) / std::sqrt(static_cast<double>(query.size(3)));
  return scores.masked_fill(at::ones({query.size(2), key.size(2)}, at::kBool).tril().logical_not(), -INFINITY);
}

// LibTorch's own function allocates what it does, and launches kernels, whose work is done here.
std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> attend(const Tensor& query, const Tensor& key, const Tensor& value, const std::optional<Tensor>& query_ends,
                                                          const std::optional<Tensor>& key_ends, int64_t query_rows, int64_t key_rows, double dropout, bool is_causal, bool debug,
                                                          std::optional<double> scale, std::optional<int64_t> left, std::optional<int64_t> right, const std::optional<Tensor>& used,
                                                          const std::optional<Tensor>& slopes) {
  const stand_in::SkippingKernels skipping;
  const auto results = at::native::_flash_attention_forward(query, key, value, query_ends, key_ends, query_rows, key_rows, dropout, is_causal, debug, scale, left, right, used, slopes);
  const auto &out = std::get<0>(results), &sums = std::get<1>(results);
  submit([query = on_processor(query), key = on_processor(key), value = on_processor(value), out = on_processor(out), sums = on_processor(sums)] {
    const auto scores = scores_of(by_head(query, query.size(2)), by_head(key, query.size(2)));
    out.copy_(at::matmul(scores.softmax(3), by_head(value, query.size(2))).transpose(1, 2));
    sums.copy_(scores.logsumexp(3));
  });
  return results;
}

// Sums over the query's heads that share one of the key's.
Tensor by_row(const Tensor& gradient, int64_t heads) { return gradient.unflatten(1, {heads, gradient.size(1) / heads}).sum(2).transpose(1, 2); }

std::tuple<Tensor, Tensor, Tensor> attend_backward(const Tensor& gradient, const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& out, const Tensor& sums,
                                                   const Tensor& query_ends, const Tensor& key_ends, int64_t query_rows, int64_t key_rows, double dropout, bool is_causal, const Tensor& state,
                                                   const Tensor& unused, std::optional<double> scale, std::optional<int64_t> left, std::optional<int64_t> right) {
  const stand_in::SkippingKernels skipping;
  const auto results = at::native::_flash_attention_backward(gradient, query, key, value, out, sums, query_ends, key_ends, query_rows, key_rows, dropout, is_causal, state, unused, scale,
                                                             left, right);
  const auto &dq = std::get<0>(results), &dk = std::get<1>(results), &dv = std::get<2>(results);
  submit([gradient = on_processor(gradient), query = on_processor(query), key = on_processor(key), value = on_processor(value), out = on_processor(out), sums = on_processor(sums),
          dq = on_processor(dq), dk = on_processor(dk), dv = on_processor(dv)] {
    const int64_t heads = query.size(2), key_heads = key.size(2);
    const auto q = by_head(query, heads), k = by_head(key, heads), v = by_head(value, heads), g = by_head(gradient, heads);
    const auto weights = (scores_of(q, k) - sums.unsqueeze(3)).exp();
    const auto of_weights = at::matmul(g, v.transpose(2, 3)) - (g * by_head(out, heads)).sum(3, /*keepdim=*/true);
    const auto of_scores = weights * of_weights / std::sqrt(static_cast<double>(q.size(3)));
    dq.copy_(at::matmul(of_scores, k).transpose(1, 2));
    dk.copy_(by_row(at::matmul(of_scores.transpose(2, 3), q), key_heads));
    dv.copy_(by_row(at::matmul(weights.transpose(2, 3), g), key_heads));
  });
  return results;
}

}  // namespace

TORCH_LIBRARY_IMPL(aten, CUDA, library) {
  if (stand_in::skips_kernels()) return;
  // LibTorch warns where a kernel takes the place of another.
  struct : c10::WarningHandler {
    void process(const c10::Warning&) override {}
  } silent;
  const c10::WarningUtils::WarningHandlerGuard guard(&silent);
  for (const char* const name : {"add.Tensor", "add_.Tensor", "add.out", "sub.Tensor", "sub_.Tensor", "mul.Tensor", "mul_.Tensor", "mul.out", "div_.Tensor", "div.Tensor", "fill_.Scalar",
                                 "zero_", "gelu", "gelu.out", "gelu_backward", "gelu_backward.grad_input", "sum.dim_IntList", "sum.IntList_out", "cat", "exp", "eq.Tensor"}) {
    library.impl(name, torch::CppFunction::makeFromBoxedFunction<&run_later>());
  }
  library.impl("copy_", copy_later);
  library.impl("_flash_attention_forward", attend);
  library.impl("_flash_attention_backward", attend_backward);
}
