#include "core/gpu/vector.cuh"
#include "core/ops/kernels/exponential.h"
#include "core/ops/kernels/row_kernels.h"

namespace zerorun::ops {
namespace {

using namespace gpu;

// Columns of a thread where rows are added: 4 bytes, as there are few columns and many threads are wanted.
template <typename Number>
constexpr int kColumns = 4 / sizeof(Number);

// partial[b, c] = the sum of block b's share of the rows, in order.
template <typename Number, int kCount>
__global__ void __launch_bounds__(kThreads) sum_blocks(ColumnSums sums, float* partial, int64_t blocks) {
  const int64_t columns = sums.columns, groups = columns / kCount, share = (sums.rows + blocks - 1) / blocks;
  for_each_group<1>(groups * blocks, [&](auto, int64_t task) {
    const int64_t block = task / groups, c = task % groups * kCount;
    const int64_t end = (block + 1) * share < sums.rows ? (block + 1) * share : sums.rows;
    float total[kCount] = {};
#pragma unroll 8
    for (int64_t r = block * share; r < end; ++r) {
      float values[kCount];
      load(static_cast<const Number*>(sums.gradient) + r * columns + c, values);
      for (int i = 0; i < kCount; ++i) total[i] += values[i];
    }
    store(total, partial + block * columns + c);
  });
}

constexpr int kAcross = 32, kDown = kThreads / kAcross;

// sum[c] += the partial sums of column c. A block has kAcross columns: kDown threads of each add up equal shares, whose sums are added in order.
template <typename Number>
__global__ void __launch_bounds__(kThreads) add_partial(const float* partial, int64_t blocks, int64_t columns, Number* sum) {
  __shared__ float shared[kDown][kAcross];
  const int across = static_cast<int>(threadIdx.x) % kAcross, down = static_cast<int>(threadIdx.x) / kAcross;
  const int64_t c = int64_t{blockIdx.x} * kAcross + across, share = (blocks + kDown - 1) / kDown;
  const int64_t end = (down + 1) * share < blocks ? (down + 1) * share : blocks;
  float total = 0;
  if (c < columns) {
#pragma unroll 8
    for (int64_t b = down * share; b < end; ++b) total += partial[b * columns + c];
  }
  shared[down][across] = total;
  __syncthreads();
  if (down != 0 || c >= columns) return;
  for (int d = 1; d < kDown; ++d) total += shared[d][across];
  narrow(widen(sum[c]) + total, sum[c]);
}

template <typename Number, int kCount>
__global__ void __launch_bounds__(kThreads) swiglu(SwigluPart part, int64_t count) {
  const auto *gates = static_cast<const Number*>(part.gate), *ups = static_cast<const Number*>(part.up);
  auto* out = static_cast<Number*>(part.out);
  for_each_group<kCount>(count, [&](auto group, int64_t i) {
    constexpr int kHere = decltype(group)::value;
    float gate[kHere], up[kHere];
    load(gates + i, gate);
    load(ups + i, up);
    for (int k = 0; k < kHere; ++k) up[k] = gate[k] * sigmoid(gate[k]) * up[k];
    store(up, out + i);
  });
}

template <typename Number, int kCount>
__global__ void __launch_bounds__(kThreads) swiglu_gradient(SwigluPart part, int64_t count) {
  const auto *gates = static_cast<const Number*>(part.gate), *ups = static_cast<const Number*>(part.up);
  const auto* gradients = static_cast<const Number*>(part.gradient);
  auto *dgates = static_cast<Number*>(part.dgate), *dups = static_cast<Number*>(part.dup);
  for_each_group<kCount>(count, [&](auto group, int64_t i) {
    constexpr int kHere = decltype(group)::value;
    float gate[kHere], up[kHere], gradient[kHere];
    load(gates + i, gate);
    load(ups + i, up);
    load(gradients + i, gradient);
    for (int k = 0; k < kHere; ++k) {
      const float g = gate[k], d = gradient[k], s = sigmoid(g);
      gate[k] = d * up[k] * s * (1 + g * (1 - s));
      up[k] = d * g * s;
    }
    store(gate, dgates + i);
    store(up, dups + i);
  });
}

// A task is kCount pairs that lie side by side.
template <typename Number, int kCount>
__global__ void __launch_bounds__(kThreads) turn(Turns turns, int64_t rows) {
  const int64_t half = turns.head_dim / 2, pairs = turns.width / 2;
  for_each_group<1>(rows * (pairs / kCount), [&](auto, int64_t task) {
    const int64_t row = task / (pairs / kCount), pair = task % (pairs / kCount) * kCount, i = pair % half;
    const int64_t first = row * turns.width + pair / half * turns.head_dim + i;
    const float* angles = turns.table + 2 * (row % turns.seq_len) * half + i;
    float a[kCount], b[kCount], cosine[kCount], sine[kCount];
    load(static_cast<const Number*>(turns.in) + first, a);
    load(static_cast<const Number*>(turns.in) + first + half, b);
    load(angles, cosine);
    load(angles + half, sine);
    for (int k = 0; k < kCount; ++k) {
      const float x = a[k], y = b[k];
      a[k] = x * cosine[k] - y * sine[k];
      b[k] = y * cosine[k] + x * sine[k];
    }
    store(a, static_cast<Number*>(turns.out) + first);
    store(b, static_cast<Number*>(turns.out) + first + half);
  });
}

__global__ void __launch_bounds__(kThreads) make_turns(TurnTable table) {
  const int64_t half = table.half;
  for_each_group<1>(table.positions * half, [&](auto, int64_t task) {
    const int64_t t = task / half, i = task % half;
    const double angle = static_cast<double>(table.first_position + t) * pow(table.theta, -static_cast<double>(i) / static_cast<double>(half));
    table.table[(2 * t) * half + i] = static_cast<float>(cos(angle));
    table.table[(2 * t + 1) * half + i] = static_cast<float>(table.back ? -sin(angle) : sin(angle));
  });
}

template <typename Number>
bool in_columns(int64_t columns, std::initializer_list<const void*> pointers) {
  return columns % kColumns<Number> == 0 && aligned(pointers);
}

}  // namespace

void sum_columns(const ColumnSums& sums, float* partial, int64_t blocks, GpuStream stream) {
  with_number(sums.dtype, [&](auto zero) {
    using Number = decltype(zero);
    with_group<kColumns<Number>>(in_columns<Number>(sums.columns, {sums.gradient, partial}), [&](auto group) {
      constexpr int kCount = decltype(group)::value;
      launch("sum_columns", sum_blocks<Number, kCount>, blocks_for(sums.columns / kCount * blocks, kThreads), kThreads, stream, sums, partial, blocks);
    });
  });
  with_number(sums.sum_dtype, [&](auto zero) {
    using Number = decltype(zero);
    const auto wide = static_cast<unsigned int>((sums.columns + kAcross - 1) / kAcross);
    launch("sum_columns of blocks", add_partial<Number>, wide, kThreads, stream, static_cast<const float*>(partial), blocks, sums.columns, static_cast<Number*>(sums.sum));
  });
}

void swiglu_part(const SwigluPart& part, int64_t count, GpuStream stream) {
  with_number(part.dtype, [&](auto zero) {
    using Number = decltype(zero);
    with_group<kGroup<Number>>(aligned({part.gate, part.up, part.out}), [&](auto group) {
      constexpr int kCount = decltype(group)::value;
      launch("swiglu_part", swiglu<Number, kCount>, blocks_for(count / kCount, kThreads), kThreads, stream, part, count);
    });
  });
}

void swiglu_gradient_part(const SwigluPart& part, int64_t count, GpuStream stream) {
  with_number(part.dtype, [&](auto zero) {
    using Number = decltype(zero);
    with_group<kGroup<Number>>(aligned({part.gate, part.up, part.gradient, part.dgate, part.dup}), [&](auto group) {
      constexpr int kCount = decltype(group)::value;
      launch("swiglu_gradient_part", swiglu_gradient<Number, kCount>, blocks_for(count / kCount, kThreads), kThreads, stream, part, count);
    });
  });
}

void turn_rows(const Turns& turns, int64_t rows, GpuStream stream) {
  with_number(turns.dtype, [&](auto zero) {
    using Number = decltype(zero);
    const bool in_groups = turns.head_dim / 2 % kGroup<Number> == 0 && turns.width % kGroup<Number> == 0 && aligned({turns.table, turns.in, turns.out});
    with_group<kGroup<Number>>(in_groups, [&](auto group) {
      constexpr int kCount = decltype(group)::value;
      launch("turn_rows", turn<Number, kCount>, blocks_for(rows * turns.width / 2 / kCount, kThreads), kThreads, stream, turns, rows);
    });
  });
}

void fill_turns(const TurnTable& table, GpuStream stream) {
  launch("fill_turns", make_turns, blocks_for(table.positions * table.half, kThreads), kThreads, stream, table);
}

}  // namespace zerorun::ops
