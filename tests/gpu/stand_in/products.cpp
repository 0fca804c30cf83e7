// cuBLAS over the processor, as far as LibTorch calls it for products of fp32, bf16 and fp16: sums in fp32, in the order of k.
#include <cublasLt.h>
#include <cublas_v2.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "core/ops/kernels/number_bits.h"
#include "tests/gpu/stand_in/memory.h"
#include "tests/gpu/stand_in/timeline.h"

namespace {

struct Handle {
  cudaStream_t stream = nullptr;
  cublasMath_t mode = CUBLAS_DEFAULT_MATH;
  cublasPointerMode_t pointers = CUBLAS_POINTER_MODE_HOST;
};

Handle& of(cublasHandle_t handle) { return *reinterpret_cast<Handle*>(handle); }

// A matrix in column-major order, element (i, j) at i + j ld.
struct Matrix {
  void* data;
  cudaDataType_t type;
  int64_t ld, apart;  // between the matrices of a batch
};

float get(const Matrix& matrix, int64_t at) {
  switch (matrix.type) {
    case CUDA_R_32F: return static_cast<const float*>(matrix.data)[at];
    case CUDA_R_16BF: return zerorun::ops::widen_bf16(static_cast<const uint16_t*>(matrix.data)[at]);
    case CUDA_R_16F: return zerorun::ops::widen_fp16(static_cast<const uint16_t*>(matrix.data)[at]);
    default: std::fprintf(stderr, "stand-in: no products of type %d\n", matrix.type), std::abort();
  }
}

void put(float value, const Matrix& matrix, int64_t at) {
  switch (matrix.type) {
    case CUDA_R_32F: static_cast<float*>(matrix.data)[at] = value; break;
    case CUDA_R_16BF: static_cast<uint16_t*>(matrix.data)[at] = zerorun::ops::narrow_to_bf16(value); break;
    case CUDA_R_16F: static_cast<uint16_t*>(matrix.data)[at] = zerorun::ops::narrow_to_fp16(value); break;
    default: std::abort();
  }
}

struct Product {
  bool turn_a, turn_b;
  int64_t m, n, k, batch;
  float alpha, beta;
  Matrix a, b, c, d;
  const void* bias = nullptr;  // of m numbers, in the type of d
};

// Columns of op(a) and op(b), each with its k numbers side by side.
std::vector<float> unpack(const Matrix& matrix, bool turned, int64_t columns, int64_t k, int64_t b) {
  std::vector<float> values(static_cast<std::size_t>(columns * k));
  for (int64_t c = 0; c < columns; ++c) {
    for (int64_t i = 0; i < k; ++i) values[static_cast<std::size_t>(c * k + i)] = get(matrix, b * matrix.apart + (turned ? i + c * matrix.ld : c + i * matrix.ld));
  }
  return values;
}

void multiply(const Product& p) {
  if (stand_in::skips_kernels()) return;
  const Matrix bias{const_cast<void*>(p.bias), p.d.type, 0, 0};
  for (int64_t b = 0; b < p.batch; ++b) {
    const auto rows = unpack(p.a, p.turn_a, p.m, p.k, b), columns = unpack(p.b, !p.turn_b, p.n, p.k, b);
    for (int64_t j = 0; j < p.n; ++j) {
      for (int64_t i = 0; i < p.m; ++i) {
        const float *x = rows.data() + i * p.k, *y = columns.data() + j * p.k;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t l = 0; l < p.k; ++l) sum += x[l] * y[l];
        sum *= p.alpha;
        if (p.beta != 0) sum += p.beta * get(p.c, b * p.c.apart + i + j * p.c.ld);
        if (p.bias) sum += get(bias, i);
        put(sum, p.d, b * p.d.apart + i + j * p.d.ld);
      }
    }
  }
}

float scalar(const Handle& handle, const void* value) {
  if (handle.pointers != CUBLAS_POINTER_MODE_HOST) std::abort();
  return *static_cast<const float*>(value);
}

cublasStatus_t submit(cudaStream_t stream, const Product& product) {
  stand_in::count(stand_in::Asked::product);
  stand_in::timeline_of(stream).submit([product] { multiply(product); });
  return CUBLAS_STATUS_SUCCESS;
}

struct Layout {
  cudaDataType_t type;
  uint64_t rows, columns;
  int64_t ld;
  int32_t batch = 1;
  int64_t apart = 0;
};
struct Description {
  cublasOperation_t a = CUBLAS_OP_N, b = CUBLAS_OP_N;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const void* bias = nullptr;
};
struct Preference {};

template <typename T>
void read_into(T& to, const void* from, std::size_t bytes) {
  if (bytes != sizeof(T)) std::abort();
  std::memcpy(&to, from, bytes);
}

}  // namespace

extern "C" {

cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) { return *handle = reinterpret_cast<cublasHandle_t>(new Handle), CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) { return delete &of(handle), CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) { return of(handle).stream = stream, CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t, void* data, std::size_t bytes) {
  return stand_in::place_of(data, bytes) == stand_in::Place::device ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}
cublasStatus_t cublasGetMathMode(cublasHandle_t handle, cublasMath_t* mode) { return *mode = of(handle).mode, CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) { return of(handle).mode = mode, CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasGetPointerMode_v2(cublasHandle_t handle, cublasPointerMode_t* mode) { return *mode = of(handle).pointers, CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasSetPointerMode_v2(cublasHandle_t handle, cublasPointerMode_t mode) { return of(handle).pointers = mode, CUBLAS_STATUS_SUCCESS; }

cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t a_op, cublasOperation_t b_op, int m, int n, int k, const void* alpha, const void* a, cudaDataType_t a_type, int lda,
                            const void* b, cudaDataType_t b_type, int ldb, const void* beta, void* c, cudaDataType_t c_type, int ldc, cublasComputeType_t, cublasGemmAlgo_t) {
  const Matrix result{c, c_type, ldc, 0};
  return submit(of(handle).stream, {a_op != CUBLAS_OP_N, b_op != CUBLAS_OP_N, m, n, k, 1, scalar(of(handle), alpha), scalar(of(handle), beta), {const_cast<void*>(a), a_type, lda, 0},
                         {const_cast<void*>(b), b_type, ldb, 0}, result, result});
}
cublasStatus_t cublasSgemm_v2(cublasHandle_t handle, cublasOperation_t a_op, cublasOperation_t b_op, int m, int n, int k, const float* alpha, const float* a, int lda, const float* b, int ldb,
                              const float* beta, float* c, int ldc) {
  return cublasGemmEx(handle, a_op, b_op, m, n, k, alpha, a, CUDA_R_32F, lda, b, CUDA_R_32F, ldb, beta, c, CUDA_R_32F, ldc, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
}
cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t handle, cublasOperation_t a_op, cublasOperation_t b_op, int m, int n, int k, const void* alpha, const void* a, cudaDataType_t a_type,
                                          int lda, long long a_apart, const void* b, cudaDataType_t b_type, int ldb, long long b_apart, const void* beta, void* c, cudaDataType_t c_type, int ldc,
                                          long long c_apart, int batch, cublasComputeType_t, cublasGemmAlgo_t) {
  const Matrix result{c, c_type, ldc, c_apart};
  return submit(of(handle).stream, {a_op != CUBLAS_OP_N, b_op != CUBLAS_OP_N, m, n, k, batch, scalar(of(handle), alpha), scalar(of(handle), beta), {const_cast<void*>(a), a_type, lda, a_apart},
                         {const_cast<void*>(b), b_type, ldb, b_apart}, result, result});
}
cublasStatus_t cublasSgemmStridedBatched(cublasHandle_t handle, cublasOperation_t a_op, cublasOperation_t b_op, int m, int n, int k, const float* alpha, const float* a, int lda,
                                         long long a_apart, const float* b, int ldb, long long b_apart, const float* beta, float* c, int ldc, long long c_apart, int batch) {
  return cublasGemmStridedBatchedEx(handle, a_op, b_op, m, n, k, alpha, a, CUDA_R_32F, lda, a_apart, b, CUDA_R_32F, ldb, b_apart, beta, c, CUDA_R_32F, ldc, c_apart, batch,
                                    CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
}

std::size_t cublasLtGetVersion() { return 130000; }
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* made, cublasComputeType_t, cudaDataType_t) {
  return *made = reinterpret_cast<cublasLtMatmulDesc_t>(new Description), CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t made) { return delete reinterpret_cast<Description*>(made), CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t made, cublasLtMatmulDescAttributes_t what, const void* value, std::size_t bytes) {
  auto& description = *reinterpret_cast<Description*>(made);
  switch (what) {
    case CUBLASLT_MATMUL_DESC_TRANSA: read_into(description.a, value, bytes); break;
    case CUBLASLT_MATMUL_DESC_TRANSB: read_into(description.b, value, bytes); break;
    case CUBLASLT_MATMUL_DESC_EPILOGUE: read_into(description.epilogue, value, bytes); break;
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER: read_into(description.bias, value, bytes); break;
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE: break;
    default: std::fprintf(stderr, "stand-in: no attribute %d of a product\n", what), std::abort();
  }
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* made, cudaDataType type, uint64_t rows, uint64_t columns, int64_t ld) {
  return *made = reinterpret_cast<cublasLtMatrixLayout_t>(new Layout{type, rows, columns, ld}), CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t made) { return delete reinterpret_cast<Layout*>(made), CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t made, cublasLtMatrixLayoutAttribute_t what, const void* value, std::size_t bytes) {
  auto& layout = *reinterpret_cast<Layout*>(made);
  switch (what) {
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT: read_into(layout.batch, value, bytes); break;
    case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET: read_into(layout.apart, value, bytes); break;
    default: std::fprintf(stderr, "stand-in: no attribute %d of a matrix\n", what), std::abort();
  }
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* made) { return *made = reinterpret_cast<cublasLtMatmulPreference_t>(new Preference), CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t made) { return delete reinterpret_cast<Preference*>(made), CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t, cublasLtMatmulPreferenceAttributes_t, const void*, std::size_t) { return CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                              cublasLtMatmulPreference_t, int, cublasLtMatmulHeuristicResult_t results[], int* found) {
  results[0] = {};
  results[0].state = CUBLAS_STATUS_SUCCESS;
  return *found = 1, CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t made, const void* alpha, const void* a, cublasLtMatrixLayout_t a_made, const void* b, cublasLtMatrixLayout_t b_made,
                              const void* beta, const void* c, cublasLtMatrixLayout_t c_made, void* d, cublasLtMatrixLayout_t d_made, const cublasLtMatmulAlgo_t*, void* workspace,
                              std::size_t bytes, cudaStream_t stream) {
  const auto& description = *reinterpret_cast<Description*>(made);
  const auto matrix = [](const void* data, cublasLtMatrixLayout_t layout) {
    const auto& l = *reinterpret_cast<Layout*>(layout);
    return Matrix{const_cast<void*>(data), l.type, l.ld, l.apart};
  };
  if (bytes > 0 && stand_in::place_of(workspace, bytes) != stand_in::Place::device) return CUBLAS_STATUS_INVALID_VALUE;
  if (description.epilogue != CUBLASLT_EPILOGUE_DEFAULT && description.epilogue != CUBLASLT_EPILOGUE_BIAS) {
    std::fprintf(stderr, "stand-in: no products with epilogue %d\n", description.epilogue);
    std::abort();
  }
  const auto& of_a = *reinterpret_cast<Layout*>(a_made);
  const auto& of_d = *reinterpret_cast<Layout*>(d_made);
  const bool turn_a = description.a != CUBLAS_OP_N;
  return submit(stream, {turn_a, description.b != CUBLAS_OP_N, static_cast<int64_t>(of_d.rows), static_cast<int64_t>(of_d.columns), static_cast<int64_t>(turn_a ? of_a.rows : of_a.columns),
                        of_d.batch, *static_cast<const float*>(alpha), *static_cast<const float*>(beta), matrix(a, a_made), matrix(b, b_made), matrix(c, c_made), matrix(d, d_made),
                        description.epilogue == CUBLASLT_EPILOGUE_BIAS ? description.bias : nullptr});
}

}  // extern "C"
