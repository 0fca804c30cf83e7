#include "launcher/ranks.h"

#include <cstdio>

#include "comm/connect.h"

namespace zerorun {

std::shared_ptr<Communicator> connect_ranks(MpiSession& session, const Settings& settings, std::string* note) {
  const auto say = [&session](const std::string& message) {
    if (session.claim_to_speak()) std::fprintf(stderr, "zerorun: %s\n", message.c_str());
  };
  return connect(session,
                 {.watch = {.timeout_seconds = static_cast<double>(settings.comm.timeout_seconds), .on_lost_rank = say},
                  .pretend_hosts = static_cast<int>(settings.comm.pretend_hosts),
                  .strict = settings.run.determinism == Settings::Determinism::strict,
                  .check_every_collective = settings.comm.check_every_collective},
                 note);
}

}  // namespace zerorun
