#include "launcher/agreement.h"

#include <torch/headeronly/version.h>

#include <algorithm>
#include <array>
#include <bit>
#include <fstream>

#include "comm/mpi_session.h"
#include "core/error.h"
#include "core/random.h"
#include "launcher/command_line.h"

namespace zerorun {

void agree_on(Communicator& communicator, uint64_t own, const char* otherwise) {
  const auto all = gather(communicator, own);
  const auto other = std::find_if(all.begin(), all.end(), [&](uint64_t value) { return value != all[0]; });
  if (other != all.end()) fail(ErrorKind::disagreement, "rank {} {}", other - all.begin(), otherwise);
}

// The linker's build id, a hash of all, is near the beginning of the program.
std::string this_build() {
  std::string bytes(4096, '\0');
  std::ifstream("/proc/self/exe", std::ios::binary).read(bytes.data(), std::ssize(bytes));
  return fmt::format("zerorun {} (program {:016x}, LibTorch {}, {}-endian)", version(), stream_of(bytes), TORCH_VERSION,
                     std::endian::native == std::endian::little ? "little" : "big");
}

// As bytes, which mean the same on any host.
void agree_on_build(Communicator& communicator, const std::string& own) {
  std::array<char, 128> text{};
  own.copy(text.data(), text.size() - 1);
  const auto all = gather(communicator, text);
  const auto other = std::ranges::find_if(all, [&](const auto& that) { return that != all[0]; });
  if (other == all.end()) return;
  fail(ErrorKind::disagreement, "rank {} runs {}, rank 0 runs {}; install the same on every host", other - all.begin(), other->data(), all[0].data());
}

void agree(Communicator& communicator, const CorpusBatches& data) {
  agree_on(communicator, data.fingerprint(), "reads other data than rank 0 (data.train, data.validation): are the files the same on every host?");
}

void agree(Communicator& communicator, const Settings& settings) {
  agree_on_build(communicator, this_build());
  agree_on(communicator, fingerprint(settings), "read another configuration than rank 0: is the file the same on every host?");
}

void check_backend(const Settings& settings) {
  if (settings.comm.backend == Settings::Backend::mpi && mpi_library().empty()) {
    fail(ErrorKind::configuration,
         "comm.backend is mpi, but this zerorun was built without MPI; build it with -DZERORUN_MPI=ON, or set auto");
  }
}

}  // namespace zerorun
