// "Did you mean": the name closest to a misspelt one.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace zerorun {

// The name with the fewest edits (insert, delete, replace, swap of neighbours; case does not count; leaving out its end is
// one edit), or "" when none is within a third of the length of `word`: two edits at the least, one for three letters.
// Costs O(length^2) a name.
std::string nearest_name(std::string_view word, const std::vector<std::string>& names);

// " (did you mean NAME?)", or "" when no name is near.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& names);

}  // namespace zerorun
