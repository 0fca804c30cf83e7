// `zerorun plan FILE --search`: the fastest plan that fits the machines at hand, or to be rented.
#pragma once
#include <iosfwd>

#include "launcher/command_line.h"

namespace zerorun {

// Prints what it finds, and writes the best plan where --write says. Throws Error(out_of_memory) where nothing fits, Error(configuration) where nothing is known of the machine's
// rates. REQUIRES line.search.
void plan_search(const CommandLine& line, std::ostream& out);

}  // namespace zerorun
