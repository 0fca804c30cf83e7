// Few cases out of many, in which every two values of every two factors meet.
#pragma once
#include <cstddef>
#include <functional>
#include <set>
#include <tuple>
#include <vector>

namespace zerorun::testing {

// A case: the index of a value for each factor.
using Choice = std::vector<int>;

// All cases of factors with so many values each that `allowed` lets through.
inline std::vector<Choice> all_choices(const std::vector<int>& values, const std::function<bool(const Choice&)>& allowed) {
  std::vector<Choice> all;
  Choice choice(values.size(), 0);
  for (bool more = true; more;) {
    if (allowed(choice)) all.push_back(choice);
    more = false;
    for (size_t f = 0; f < values.size() && !more; ++f) {
      more = ++choice[f] < values[f];
      if (!more) choice[f] = 0;
    }
  }
  return all;
}

// Of these, always the first that brings most pairs together that have not met, until all that meet in any have.
inline std::vector<Choice> pairwise(const std::vector<Choice>& all) {
  using Pair = std::tuple<size_t, int, size_t, int>;
  const auto pairs_of = [](const Choice& choice) {
    std::vector<Pair> pairs;
    for (size_t a = 0; a < choice.size(); ++a) {
      for (size_t b = a + 1; b < choice.size(); ++b) pairs.emplace_back(a, choice[a], b, choice[b]);
    }
    return pairs;
  };
  std::set<Pair> apart;
  for (const auto& choice : all) {
    for (const auto& pair : pairs_of(choice)) apart.insert(pair);
  }
  std::vector<Choice> chosen;
  while (!apart.empty()) {
    const Choice* best = nullptr;
    size_t most = 0;
    for (const auto& choice : all) {
      size_t met = 0;
      for (const auto& pair : pairs_of(choice)) met += apart.count(pair);
      if (met > most) most = met, best = &choice;
    }
    for (const auto& pair : pairs_of(*best)) apart.erase(pair);
    chosen.push_back(*best);
  }
  return chosen;
}

}  // namespace zerorun::testing
