// Predicted beside measured, as two bars for each thing.
#pragma once
#include <string>
#include <vector>

#include "launcher/report.h"

namespace zerorun::page {

struct Bar {
  std::string name;
  ComparedBytes bytes;
  std::string style;  // class of its colour
};

// Bars without bytes are left out. `words`: what measured is called, "measured" or "sent". Empty where nothing is left.
std::string bars(const std::string& id, const std::string& title, const std::vector<Bar>& bars, const std::string& words);

// "as predicted", "+1 234 bytes (+0.2 %)"
std::string difference(ComparedBytes bytes);

}  // namespace zerorun::page
