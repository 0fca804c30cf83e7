// Where a test finds its data: data_path("core/data/presets.json") is that file in the folder tests/ that the program was built from, or, where
// ZERORUN_TEST_DATA_ROOT is in the environment, in the folder that it names: for programs that run on another machine than they were built on.
#pragma once
#include <cstdlib>
#include <string>

namespace zerorun {

inline std::string data_path(const std::string& name) {
  const char* moved = std::getenv("ZERORUN_TEST_DATA_ROOT");
  return std::string(moved ? moved : ZERORUN_TESTS) + "/" + name;
}

}  // namespace zerorun
