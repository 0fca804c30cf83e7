#include "core/nearest_name.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace zerorun {
namespace {

bool same_letter(char a, char b) {
  return std::tolower(static_cast<unsigned char>(a)) == std::tolower(static_cast<unsigned char>(b));
}

// A word that is the misspelt beginning of the name counts its edits and one more.
size_t edits_between(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> edits(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        edits[i][j] = i + j;
        continue;
      }
      const size_t replaced = edits[i - 1][j - 1] + (same_letter(a[i - 1], b[j - 1]) ? 0 : 1);
      edits[i][j] = std::min({edits[i - 1][j] + 1, edits[i][j - 1] + 1, replaced});
      const bool swapped = i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) && same_letter(a[i - 2], b[j - 1]);
      if (swapped) edits[i][j] = std::min(edits[i][j], edits[i - 2][j - 2] + 1);
    }
  }
  const std::vector<size_t>& to_beginnings = edits[a.size()];
  return std::min(to_beginnings.back(), *std::min_element(to_beginnings.begin(), to_beginnings.end()) + 1);
}

}  // namespace

std::string nearest_name(std::string_view word, const std::vector<std::string>& names) {
  constexpr size_t kLongestWord = 128;
  if (word.size() > kLongestWord) return "";
  constexpr size_t kShortWord = 3;
  size_t fewest = 1 + (word.size() <= kShortWord ? 1 : std::max<size_t>(2, word.size() / 3));
  std::string nearest;
  for (const std::string& name : names) {
    const size_t edits = edits_between(word, name);
    if (edits >= fewest || edits >= word.size()) continue;
    fewest = edits;
    nearest = name;
  }
  return nearest;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& names) {
  const std::string nearest = nearest_name(word, names);
  return nearest.empty() ? "" : fmt::format(" (did you mean {}?)", nearest);
}

}  // namespace zerorun
