// What tests of pages ask of text, and give as a number that is none.
#pragma once
#include <limits>
#include <string>

namespace zerorun::page {

inline constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// How often `part` is in `text`.
inline size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

}  // namespace zerorun::page
