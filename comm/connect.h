// The communicator for the ranks of a session: the fastest that they can use.
#pragma once
#include <memory>
#include <string>

#include "comm/host_communicator.h"

namespace zerorun {

class MpiSession;

struct ConnectOptions {
  HostWatch watch = {};
  int pretend_hosts = 1;  // ranks of one host behave as if they sat on several, as many on each
  bool strict = true;     // the same bits however ranks are spread over hosts
  bool check_every_collective = false;  // between all ranks before it moves (CheckingCommunicator); those that share memory always do
};

// Ranks of one host read each other's memory (HostCommunicator). On several hosts they do so inside each, and send messages between them
// (HierarchicalCommunicator). On one host where one may not see another's memory, and where hosts are not alike, all send messages
// (MpiCommunicator), and `note` says why. Throws Error(configuration) where ranks cannot be spread evenly over the pretended hosts, or ranks of one of
// several hosts may not see each other's memory. Collective. REQUIRES: `session` outlives it.
std::shared_ptr<Communicator> connect(MpiSession& session, const ConnectOptions& options = {}, std::string* note = nullptr);

}  // namespace zerorun
