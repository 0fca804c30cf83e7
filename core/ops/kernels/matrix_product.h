// Matrix products of the ops, in the dtype of their operands. In fp32 they are LibTorch's, over 8192 of the depth at a time: where it is more, workspace is one more result. In bf16 and fp16 they are tiles of
// our own over oneDNN's micro kernels: sums are in fp32, over the whole depth, and rounded once, and what they need beside
// operands and result is known: LibTorch's products take scratch there that depends on the machine. With bf16 tiles (AMX) bf16
// stays bf16, elsewhere and for fp16 tiles are widened to fp32. The bits do not depend on the number of threads.
// On a GPU all are LibTorch's, which sum in fp32 too (core/gpu/gpu.h asks for that).
// Workspace in bf16 and fp16, but on a GPU: at most 1.3 MiB a thread.
#pragma once
#include <ATen/core/Tensor.h>

namespace zerorun::ops {

// out = a b + bias. a [M, K] and b [K, N] are contiguous or transposed views of what is; out [M, N] is contiguous; bias [N] may be
// undefined.
void multiply(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias = {});

// sum += a b, rounded once.
void add_product(const at::Tensor& sum, const at::Tensor& a, const at::Tensor& b);

// Counts a product of [rows, depth] and [depth, columns] that is not done here; the two above count themselves.
void count_product(int64_t rows, int64_t depth, int64_t columns, int64_t element_size, bool add);

}  // namespace zerorun::ops
