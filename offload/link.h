// A link of a chosen speed between a device and where its bytes sleep: for machines whose device and host share their memory, to try what happens
// with a slower one.
#pragma once
#include <memory>

#include "core/stream.h"

namespace zerorun {

struct Link {
  double bytes_per_second = 0;  // REQUIRES > 0
  double latency_seconds = 0;   // of each task, before its bytes count
};

// The stream, whose tasks each take at least latency + bytes / bytes_per_second: where the work itself is done earlier, the stream waits, without using
// a core.
std::unique_ptr<Stream> through(Link link, std::unique_ptr<Stream> stream);

}  // namespace zerorun
