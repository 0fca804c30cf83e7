// `zerorun plan FILE --ranks N`: the memory and traffic of a run, without running it, on any machine.
#pragma once
#include <iosfwd>

#include "launcher/command_line.h"

namespace zerorun {

// Prints the table, or JSON. The data is opened only where a validation split is asked for, to count its windows.
void plan(const CommandLine& line, std::ostream& out);

}  // namespace zerorun
