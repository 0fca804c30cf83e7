// A run's memory, predicted beside measured, rank by rank.
#pragma once
#include <string>

#include "launcher/report.h"

namespace zerorun::page {

// Ranks whose ledgers are equal are shown once. What a process or a GPU takes is a table of all ranks.
std::string memory_section(const Report& report);

// Whether the predicted totals held: "to the byte", or by how much they missed at the worst.
struct Verdict {
  bool held;  // none is missed by more than 1 %
  std::string words;
};
Verdict verdict_of(const Report& report);

}  // namespace zerorun::page
