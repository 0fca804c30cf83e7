#include "core/random.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "core/error.h"
#include "core/ops/kernels/number.h"
#include "core/philox.h"

namespace zerorun {
namespace {

uint32_t low(uint64_t value) { return static_cast<uint32_t>(value); }
uint32_t high(uint64_t value) { return static_cast<uint32_t>(value >> 32); }

// libm's log differs between machines in the last bit. 2 atanh(s) with s = (m-1)/(m+1), |s| < 0.172: 11 terms reach 1e-17.
// REQUIRES a normal number; no branch, so that loops over it become vectors.
ZR_INLINE double natural_log(double x) {
  const auto bits = std::bit_cast<uint64_t>(x);
  const double fraction = std::bit_cast<double>((bits & 0x000fffffffffffff) | 0x3fe0000000000000);  // x = fraction 2^exponent
  const bool doubles = fraction < 0.70710678118654752440;
  const double mantissa = doubles ? fraction * 2 : fraction;
  const int32_t exponent = static_cast<int32_t>(bits >> 52) - 1022 - doubles;
  const double s = (mantissa - 1) / (mantissa + 1);
  const double square = s * s;
  double sum = 0;
  for (int k = 21; k >= 1; k -= 2) sum = sum * square + 1.0 / k;
  return exponent * 0.69314718055994530942 + 2 * s * sum;
}

template <size_t N>
ZR_INLINE double polynomial(const double (&coefficients)[N], double x) {
  double value = coefficients[N - 1];
  for (size_t i = N - 1; i-- > 0;) value = value * x + coefficients[i];
  return value;
}

// Lowest order first. Probabilities nearer to 0 or 1 than e^-25 would need a third pair; 32 bits do not reach them.
constexpr double kCentralNumerator[] = {3.3871328727963666080e0,  1.3314166789178437745e+2, 1.9715909503065514427e+3,
                                        1.3731693765509461125e+4, 4.5921953931549871457e+4, 6.7265770927008700853e+4,
                                        3.3430575583588128105e+4, 2.5090809287301226727e+3};
constexpr double kCentralDenominator[] = {1.0,
                                          4.2313330701600911252e+1,
                                          6.8718700749205790830e+2,
                                          5.3941960214247511077e+3,
                                          2.1213794301586595867e+4,
                                          3.9307895800092710610e+4,
                                          2.8729085735721942674e+4,
                                          5.2264952788528545610e+3};
constexpr double kTailNumerator[] = {1.42343711074968357734e0,  4.63033784615654529590e0, 5.76949722146069140550e0,
                                     3.64784832476320460504e0,  1.27045825245236838258e0, 2.41780725177450611770e-1,
                                     2.27238449892691845833e-2, 7.74545014278341407640e-4};
constexpr double kTailDenominator[] = {1.0,
                                       2.05319162663775882187e0,
                                       1.67638483018380384940e0,
                                       6.89767334985100004550e-1,
                                       1.48103976427480074590e-1,
                                       1.51986665636164571966e-2,
                                       5.47593808499534494600e-4,
                                       1.05075007164441684324e-9};

constexpr double kCentral = 0.425;  // |p - 1/2| up to here

ZR_INLINE double central_quantile(double q) {
  const double r = 0.180625 - q * q;
  return q * polynomial(kCentralNumerator, r) / polynomial(kCentralDenominator, r);
}

// Of the tail's probability, below 1/2 - kCentral; above 0.
ZR_INLINE double tail_magnitude(double p) {
  const double r = std::sqrt(-natural_log(p)) - 1.6;
  return polynomial(kTailNumerator, r) / polynomial(kTailDenominator, r);
}

constexpr ZR_INLINE double uniform_of(uint32_t word) { return (word + 0.5) * 0x1p-32; }

// Below it a word's probability is in the lower tail.
constexpr uint32_t kTailWords = 322'122'547;
static_assert(0.5 - uniform_of(kTailWords - 1) > kCentral && 0.5 - uniform_of(kTailWords) <= kCentral);

using Key = std::array<uint32_t, 2>;

// Words are drawn, and made normal, so many at a time: first all as if none lay in a tail, then those that do.
constexpr int kDrawn = 512;

ZR_FOR_EACH_CPU
void draw_words(uint64_t first_block, uint64_t stream, Key key, uint32_t* words) {
#pragma omp simd
  for (int b = 0; b < kDrawn / 4; ++b) {
    const uint64_t block = first_block + static_cast<uint64_t>(b);
    const auto drawn = philox({low(block), high(block), low(stream), high(stream)}, key);
    for (int w = 0; w < 4; ++w) words[4 * b + w] = drawn[static_cast<size_t>(w)];
  }
}

ZR_FOR_EACH_CPU
void make_normal(const uint32_t* words, float stddev, float* out) {
#pragma omp simd
  for (int i = 0; i < kDrawn; ++i) out[i] = static_cast<float>(central_quantile(uniform_of(words[i]) - 0.5) * stddev);
  int count = 0, places[kDrawn];
  uint32_t folded[kDrawn];
  for (int i = 0; i < kDrawn; ++i) {
    const uint32_t word = std::min(words[i], ~words[i]);  // of p or 1 - p, whichever is less: exactly
    places[count] = i;
    folded[count] = word;
    count += word < kTailWords;
  }
  double magnitudes[kDrawn];
#pragma omp simd
  for (int t = 0; t < count; ++t) magnitudes[t] = tail_magnitude(uniform_of(folded[t]));
  for (int t = 0; t < count; ++t) {
    const double sign = words[places[t]] == folded[t] ? -1.0 : 1.0;
    out[places[t]] = static_cast<float>(sign * magnitudes[t] * stddev);
  }
}

}  // namespace

std::array<uint32_t, 4> philox4x32_10(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) { return philox(counter, key); }

uint64_t stream_of(std::string_view name) {
  uint64_t hash = 14695981039346656037u;
  for (unsigned char c : name) hash = (hash ^ c) * 1099511628211u;
  return hash;
}

double normal_quantile(double p) {
  const double q = p - 0.5;
  if (std::abs(q) <= kCentral) return central_quantile(q);
  return q < 0 ? -tail_magnitude(p) : tail_magnitude(1 - p);
}

void fill_normal(float* out, int64_t first_element, int64_t count, uint64_t seed, uint64_t stream, float stddev) {
  ZR_CHECK(first_element >= 0 && count >= 0, "fill_normal: elements {} + {}, expected none below 0", first_element, count);
  const Key key{low(seed), high(seed)};
  for (int64_t done = 0; done < count;) {
    uint32_t words[kDrawn];
    float values[kDrawn];
    const int64_t element = first_element + done, skipped = element % 4;
    draw_words(static_cast<uint64_t>(element / 4), stream, key, words);
    make_normal(words, stddev, values);
    const int64_t taken = std::min(count - done, kDrawn - skipped);
    std::copy_n(values + skipped, taken, out + done);
    done += taken;
  }
}

}  // namespace zerorun
