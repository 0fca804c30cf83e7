// Random numbers from a counter: a value depends only on (seed, stream, element), never on who draws it or in which order.
// So any rank can make any slice of a parameter, and the model is the same at every world size.
// Philox 4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

namespace zerorun {

std::array<uint32_t, 4> philox4x32_10(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// The stream of a name, e.g. of a parameter: FNV-1a, 64 bits.
uint64_t stream_of(std::string_view name);

// The p-quantile of the standard normal, to about 1e-15 (Wichura 1988, algorithm AS 241, PPND16). Only + - * / sqrt and exact
// operations on doubles, so that every machine gives the same bits. REQUIRES 2^-33 <= p <= 1 - 2^-33.
double normal_quantile(double p);

// out[i] becomes value number first_element + i of {seed, stream}: normal, mean 0. Costs 4 to 15 ns a value on one core, by its instructions;
// callers parallelise over ranges. REQUIRES first_element >= 0, count >= 0.
void fill_normal(float* out, int64_t first_element, int64_t count, uint64_t seed, uint64_t stream, float stddev);

}  // namespace zerorun
