// A long series made short for the eye.
#pragma once
#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace zerorun {

// Both ends, and the lowest and the highest of each of `stretches` equal parts between them, by value(element): at most 2 stretches + 2, in their order.
// What is that short already stays as it is. REQUIRES that values can be ordered, and stretches > 0.
template <typename Element, typename Value>
std::vector<Element> thinned(const std::vector<Element>& all, size_t stretches, Value value) {
  if (all.size() <= 2 * stretches + 2) return all;
  const size_t inner = all.size() - 2;
  std::vector<Element> kept{all.front()};
  for (size_t s = 0; s < stretches; ++s) {
    const auto at = [&](size_t i) { return all.begin() + 1 + static_cast<std::ptrdiff_t>(i * inner / stretches); };
    auto [first, second] = std::minmax_element(at(s), at(s + 1), [&](const Element& a, const Element& b) { return value(a) < value(b); });
    if (second < first) std::swap(first, second);
    kept.push_back(*first);
    if (second != first) kept.push_back(*second);
  }
  kept.push_back(all.back());
  return kept;
}

}  // namespace zerorun
