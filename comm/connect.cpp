#include "comm/connect.h"

#include "comm/host_communicator.h"
#include "comm/mpi_communicator.h"
#include "comm/mpi_session.h"
#include "core/error.h"

namespace zerorun {

std::shared_ptr<Communicator> connect(MpiSession& session, HostWatch watch, std::string* note) {
  auto messages = std::make_shared<MpiCommunicator>(session);
  if (session.local_size() != session.size()) return messages;
  try {
    return std::make_shared<HostCommunicator>(messages, std::move(watch));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::configuration) throw;
    if (note) *note = fmt::format("ranks send messages, which is slower: {}", error.what());
    return messages;
  }
}

}  // namespace zerorun
