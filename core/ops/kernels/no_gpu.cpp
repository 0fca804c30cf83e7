// Stands for the kernels of GPUs where zerorun is built without CUDA.
#include "core/gpu/gpu.h"
#include "core/ops/kernels/add_up.h"
#include "core/ops/kernels/dropout_rows.h"
#include "core/ops/kernels/norm_rows.h"
#include "core/ops/kernels/row_kernels.h"
#include "core/ops/kernels/softmax_rows.h"

namespace zerorun::ops {

using gpu::fail_absent;

void normalise_rows(const NormRows&, int64_t, GpuStream) { fail_absent(); }
void norm_gradient_rows(const NormGradientRows&, int64_t, const NormSums&, GpuStream) { fail_absent(); }

void sum_columns(const ColumnSums&, float*, int64_t, GpuStream) { fail_absent(); }
void swiglu_part(const SwigluPart&, int64_t, GpuStream) { fail_absent(); }
void swiglu_gradient_part(const SwigluPart&, int64_t, GpuStream) { fail_absent(); }
void turn_rows(const Turns&, int64_t, GpuStream) { fail_absent(); }
void fill_turns(const TurnTable&, GpuStream) { fail_absent(); }
void add_up(const double*, int64_t, double*, GpuStream) { fail_absent(); }
void add_token_rows(const TokenRows&, GpuStream) { fail_absent(); }
void add_position_rows(const PositionRows&, GpuStream) { fail_absent(); }
void look_up_rows(const Lookup&, int64_t, int64_t, GpuStream) { fail_absent(); }

void drop_elements(const DropoutMask&, c10::ScalarType, int64_t, int64_t, int64_t, const void*, void*, GpuStream) { fail_absent(); }

void softmax_cross_entropy_rows(const CrossEntropyRows&, GpuStream) { fail_absent(); }
void causal_softmax_rows(const CausalRows&, GpuStream) { fail_absent(); }
void causal_softmax_gradient_rows(const CausalGradientRows&, GpuStream) { fail_absent(); }

}  // namespace zerorun::ops
