// `zerorun env --timing`: what takes the time from mpirun to the end of the first step, of a GPT-2 of 27 million parameters at stage 3.
#pragma once
#include <chrono>
#include <iosfwd>

namespace zerorun {

class MpiSession;

// When this process came to main() and was done with MPI's start.
struct StartTimes {
  std::chrono::steady_clock::time_point main, mpi;
};

// Seconds of each phase on rank 0, as aligned lines or as one JSON object. What happened before main() is the kernel's account, to 10 ms.
// Collective.
void print_start_timing(const StartTimes& start, MpiSession& session, bool json, std::ostream& out);

}  // namespace zerorun
