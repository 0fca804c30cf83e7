// The JSON Schema (draft 2020-12) of the configuration, from the one table of keys: for editors, and for programs that write
// configurations. What must hold between keys, and the range of a text with a unit (64MiB), only the reader checks.
#pragma once
#include <string>

namespace zerorun {

// Indented JSON. A key's description is what the reader expects; a default that depends on other keys is not in it.
std::string configuration_schema();

}  // namespace zerorun
