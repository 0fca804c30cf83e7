// What this machine is called.
#pragma once
#include <unistd.h>

#include <string>

namespace zerorun {

inline std::string host_name() {
  char name[256] = {};
  gethostname(name, sizeof name - 1);
  return name;
}

}  // namespace zerorun
