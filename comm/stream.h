// Copies of much memory. Past the caches: the processor does not read the lines that it writes over, which is a third of the traffic of a copy, and what lies
// in the caches stays. For what nobody reads soon and is too much for them.
#pragma once
#include <cstdint>

namespace zerorun {

// From here on the collectives write past the caches. Bytes of one rank's result.
inline constexpr int64_t kStreamFrom = 1 << 20;

// As memcpy. What it wrote is there for other threads and processes after stream_end().
void stream(const void* from, void* to, int64_t bytes);
void stream_end();

// Either way, by what there is to copy, in parallel. Nothing where it is there already.
void copy_bytes(const void* from, void* to, int64_t bytes);

}  // namespace zerorun
