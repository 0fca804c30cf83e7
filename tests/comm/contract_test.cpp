// The contract suite over ranks that are threads, with memory that they share as processes do, over simulated ranks, over a device that is played, and with counting
// in between.
#include "comm/simulated_communicator.h"
#include "comm/thread_communicator.h"
#include "tests/comm/contract_suite.h"
#include "tests/comm/host_ranks.h"
#include "tests/comm/played_device.h"

namespace zerorun::test {
namespace {

Backend threads(int size) {
  return {"threads", size, [size](const auto& body) { run_ranks(size, body); }};
}

Backend host(int size) {
  return {"host", size, [size](const auto& body) { run_ranks_on_host(size, body); }};
}

Backend simulated(int size) {
  return {"simulated", size, [size](const auto& body) {
            for (int rank = 0; rank < size; ++rank) {
              SimulatedCommunicator communicator(rank, size);
              body(communicator);
            }
          }};
}

Backend staged(const Backend& host) {
  return {"staged_" + host.name, host.size, [host](const auto& body) {
            host.run([&](Communicator& inner) {
              StagedCommunicator communicator(inner, std::make_unique<LateCopies>(), host_buffer);
              body(communicator);
            });
          }, played_device()};
}

std::vector<Backend> backends_that_move_bytes() {
  std::vector<Backend> backends;
  for (int size = 1; size <= 5; ++size) backends.push_back(threads(size));
  for (int size = 1; size <= 4; ++size) backends.push_back(registered(host(size)));
  backends.push_back(host(3));
  backends.push_back(counted(threads(3)));
  for (int size = 1; size <= 4; ++size) backends.push_back(staged(threads(size)));
  backends.push_back(staged(host(3)));
  backends.push_back(registered(staged(threads(2))));
  return backends;
}

std::vector<Backend> backends() {
  std::vector<Backend> backends = backends_that_move_bytes();
  for (int size = 1; size <= 5; ++size) backends.push_back(simulated(size));
  backends.push_back(counted(simulated(3)));
  return backends;
}

INSTANTIATE_TEST_SUITE_P(Backends, CollectivesContract, testing::ValuesIn(backends_that_move_bytes()), name_of_instance);
INSTANTIATE_TEST_SUITE_P(Backends, CommunicatorContract, testing::ValuesIn(backends()), name_of_instance);

}  // namespace
}  // namespace zerorun::test
