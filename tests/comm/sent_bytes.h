// What this process has handed to MPI_Isend, seen through MPI's profiling interface: all that the backends send.
#pragma once
#include <atomic>
#include <cstdint>

namespace zerorun::test {

extern std::atomic<int64_t> sent_bytes;

}  // namespace zerorun::test
