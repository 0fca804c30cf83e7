#include "launcher/ranks.h"

#include <cstdio>

#include "comm/connect.h"

namespace zerorun {

std::shared_ptr<Communicator> connect_ranks(MpiSession& session, double timeout_seconds, std::string* note) {
  return connect(session,
                 {.timeout_seconds = timeout_seconds,
                  .on_lost_rank =
                      [&session](const std::string& message) {
                        if (session.claim_to_speak()) std::fprintf(stderr, "zerorun: %s\n", message.c_str());
                      }},
                 note);
}

}  // namespace zerorun
