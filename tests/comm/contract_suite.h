// One suite for every communicator. A backend says how to run a body on `size` ranks; the executables instantiate the
// suite with their backends: ranks as threads in comm_test, ranks as processes in comm_mpi_test.
#pragma once
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "comm/communicator.h"

namespace zerorun::test {

// Memory of a device, for backends whose spans lie there: the suite computes on the host, and brings there what collectives work on. Called by all ranks.
struct DeviceMemory {
  std::function<std::shared_ptr<void>(int64_t bytes)> allocate;
  std::function<void(const void* from, void* to, int64_t bytes)> upload;
  std::function<void(const void* from, void* to, int64_t bytes)> download;  // blocks; after what the thread has waited for
  Side ledger = Side::host;                                                 // whose memory ledger counts it
};

struct Backend {
  std::string name;
  int size;
  std::function<void(const std::function<void(Communicator&)>&)> run;
  std::shared_ptr<const DeviceMemory> device = nullptr;  // none: spans of the host
  bool is_strict = true;                                 // its sum is that in rank order; otherwise it is held against it within rounding
};

inline void PrintTo(const Backend& backend, std::ostream* out) { *out << backend.name << " of " << backend.size; }

// What holds on every backend, also one that moves nothing.
class CommunicatorContract : public testing::TestWithParam<Backend> {};
// What holds where bytes move.
class CollectivesContract : public testing::TestWithParam<Backend> {};

std::string name_of_instance(const testing::TestParamInfo<Backend>& info);

// The same, with the memory of the tests in buffers of the communicator's.
Backend registered(const Backend& backend);
// The same, with every rank's communicator wrapped by a counting one.
Backend counted(const Backend& backend);

}  // namespace zerorun::test
