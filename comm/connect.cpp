#include "comm/connect.h"

#include "comm/checking_communicator.h"
#include "comm/hierarchical_communicator.h"
#include "comm/mpi_communicator.h"
#include "comm/mpi_session.h"
#include "core/error.h"

namespace zerorun {
namespace {

std::optional<Hosts> hosts_of(const MpiSession& session, int pretend_hosts) {
  if (pretend_hosts == 1) return plain_hosts(session.host_of_rank());
  if (session.size() % pretend_hosts != 0) {
    fail(ErrorKind::configuration, "comm.pretend_hosts is {}, over which {} ranks cannot be spread evenly", pretend_hosts, session.size());
  }
  return Hosts{pretend_hosts, session.size() / pretend_hosts};
}

}  // namespace

std::shared_ptr<Communicator> connect(MpiSession& session, const ConnectOptions& options, std::string* note) {
  const auto checked = [&](std::shared_ptr<Communicator> communicator, std::function<std::string()> who_is_late = {}) -> std::shared_ptr<Communicator> {
    if (!options.check_every_collective) return communicator;
    auto control = std::make_shared<MpiCommunicator>(session, options.watch.timeout_seconds);
    return std::make_shared<CheckingCommunicator>(std::move(communicator), std::move(control), std::move(who_is_late));
  };
  const auto by_messages = [&](const std::string& reason) {
    if (note) *note = "ranks send messages, which is slower: " + reason;
    return checked(std::make_shared<MpiCommunicator>(session, options.watch.timeout_seconds));
  };
  const auto hosts = hosts_of(session, options.pretend_hosts);
  if (!hosts) return by_messages("hosts have different numbers of ranks, or ranks that do not follow each other (mpirun --map-by slot)");
  if (hosts->count > 1) {
    const auto communicator = std::make_shared<HierarchicalCommunicator>(session, *hosts, options.strict, options.watch);
    return checked(communicator, [roll = communicator.get()] { return roll->who_is_late(); });
  }
  try {
    return std::make_shared<HostCommunicator>(std::make_shared<MpiCommunicator>(session, options.watch.timeout_seconds), options.watch);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::configuration) throw;
    return by_messages(error.what());
  }
}

}  // namespace zerorun
