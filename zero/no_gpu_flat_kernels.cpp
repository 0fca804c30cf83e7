// Stands for the kernels of GPUs where zerorun is built without CUDA.
#include "core/gpu/gpu.h"
#include "zero/gpu_flat_kernels.h"

namespace zerorun::kernels {

using gpu::fail_absent;

void decide_update(const double*, int, const DecisionRule&, UpdateControl*, GpuStream) { fail_absent(); }
void adamw(const FlatSlice&, const AdamWFactors&, const UpdateControl*, GpuStream) { fail_absent(); }
void sgd(const FlatSlice&, const SgdFactors&, const UpdateControl*, GpuStream) { fail_absent(); }
void convert(Span, Span, GpuStream) { fail_absent(); }
void add(Span, Span, GpuStream) { fail_absent(); }
void convert_in_place(Span, Span, GpuStream) { fail_absent(); }
void sum_of_squares(Span, double*, double*, GpuStream) { fail_absent(); }

}  // namespace zerorun::kernels
