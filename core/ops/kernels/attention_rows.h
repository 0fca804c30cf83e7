// Row kernels of attention over a block of scores, fp32.
#pragma once
#include <cstdint>

namespace zerorun::ops {

// `rows` queries by `columns` keys, at scores[row * columns + column]. Row i sees the first `seen` + i columns, at least one.
struct ScoreBlock {
  float* scores;
  int64_t rows, columns, seen;
};

// Scores become exp(score - maximum), 0 where they are not seen. `maximum` and `sum` of each row go on over the blocks of a row
// (at first -infinity and 0), and a row of `out` [rows, width] is scaled to the new maximum.
void continue_softmax(const ScoreBlock& block, float* maximum, float* sum, float* out, int64_t width);

// Scores become probabilities exp(score - log_sum_exp), and `slopes`, the gradients of probabilities, those of scores:
// probability (slope - mean).
void softmax_gradient(const ScoreBlock& block, const float* log_sum_exp, const float* mean, float* slopes);

// The products a[i] . b[i] of rows.
void row_products(const float* a, const float* b, int64_t rows, int64_t width, float* products);
// The products of `row` with each row of b.
void products_with_rows(const float* row, const float* b, int64_t rows, int64_t width, float* products);
// sum += the rows of b times their weights.
void add_weighted_rows(const float* weights, const float* b, int64_t rows, int64_t width, float* sum);
void scale_row(float* row, int64_t count, float scale);

}  // namespace zerorun::ops
