// In which order blocks, and the threads of each, run: 0 is that of their indices, any other a shuffled one.
#pragma once

namespace emulation {

void set_order(unsigned int seed);

}  // namespace emulation
