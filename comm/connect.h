// The communicator for the ranks of a session: the fastest that they can use.
#pragma once
#include <memory>
#include <string>

#include "comm/host_communicator.h"

namespace zerorun {

class MpiSession;

// Ranks of one host read each other's memory (HostCommunicator). Between hosts they send messages (MpiCommunicator), and so they do
// where one may not see another's memory: `note` then says why. Collective. REQUIRES: `session` outlives it.
std::shared_ptr<Communicator> connect(MpiSession& session, HostWatch watch = {}, std::string* note = nullptr);

}  // namespace zerorun
