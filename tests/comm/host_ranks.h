// Thread ranks that share memory as processes of one host do.
#pragma once
#include <functional>
#include <memory>

#include "comm/host_communicator.h"
#include "comm/thread_communicator.h"

namespace zerorun::test {

inline void run_watched_ranks(int size, const HostWatch& watch, const std::function<void(Communicator&)>& body) {
  run_ranks(size, [&](Communicator& messages) {
    HostCommunicator communicator(std::shared_ptr<Communicator>(&messages, [](Communicator*) {}), watch);
    body(communicator);
  });
}

inline void run_ranks_on_host(int size, const std::function<void(Communicator&)>& body) { run_watched_ranks(size, {}, body); }

}  // namespace zerorun::test
