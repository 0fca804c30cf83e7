// `zerorun env`: what matters to reproduce a run or to report a problem, of the build, the machine and this launch.
#pragma once
#include <iosfwd>

namespace zerorun {

// Aligned lines, or one JSON object with the same names. What cannot be read is null, and "none" in the lines.
void print_environment(bool json, std::ostream& out);

}  // namespace zerorun
