// One suite for every communicator. A backend says how to run a body on `size` ranks; the executables instantiate the
// suite with their backends: ranks as threads in comm_test, ranks as processes in comm_mpi_test.
#pragma once
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "comm/communicator.h"

namespace zerorun::test {

struct Backend {
  std::string name;
  int size;
  std::function<void(const std::function<void(Communicator&)>&)> run;
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
