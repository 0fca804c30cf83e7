#include "launcher/agreement.h"

#include <algorithm>

#include "comm/mpi_session.h"
#include "core/error.h"

namespace zerorun {

void agree_on(Communicator& communicator, uint64_t own, const char* otherwise) {
  const auto all = gather(communicator, own);
  const auto other = std::find_if(all.begin(), all.end(), [&](uint64_t value) { return value != all[0]; });
  if (other != all.end()) fail(ErrorKind::disagreement, "rank {} {}", other - all.begin(), otherwise);
}

void agree(Communicator& communicator, const Settings& settings) {
  agree_on(communicator, fingerprint(settings), "read another configuration than rank 0: is the file the same on every host?");
}

void check_backend(const Settings& settings) {
  if (settings.comm.backend == Settings::Backend::mpi && mpi_library().empty()) {
    fail(ErrorKind::configuration,
         "comm.backend is mpi, but this zerorun was built without MPI; build it with -DZERORUN_MPI=ON, or set auto");
  }
}

}  // namespace zerorun
