// In place of the MPI backend where zerorun is built without MPI: the same classes for a world of one, on ThreadWorld(1).
#include <ATen/core/Tensor.h>

#include <cstdlib>

#include "comm/connect.h"
#include "comm/job_folder.h"
#include "comm/mpi_communicator.h"
#include "comm/mpi_session.h"
#include "comm/thread_communicator.h"
#include "core/error.h"
#include "core/host_name.h"

namespace zerorun {
namespace {

constexpr const char* kRemedy = "build it with -DZERORUN_MPI=ON (Debian: libopenmpi-dev) for more";

// Of those that a launcher tells its processes, under OpenMPI's name or that of PMI.
int launched_ranks() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}) {
    if (const char* size = std::getenv(name)) return std::atoi(size);
  }
  return 1;
}

}  // namespace

class MpiTransport {
 public:
  Communicator& alone() { return *communicator_; }

 private:
  ThreadWorld world_{1};
  std::unique_ptr<Communicator> communicator_ = world_.communicator(0);
};

MpiSession::MpiSession(double, std::function<void(std::string)>) {
  if (const int ranks = launched_ranks(); ranks > 1) {
    fail(ErrorKind::configuration, "started as one of {} ranks, but this zerorun was built without MPI and runs on one; {}", ranks, kRemedy);
  }
  find_neighbours();
}

MpiSession::MpiSession(int) {
  fail(ErrorKind::configuration, "a session over a communicator of MPI, but this zerorun was built without MPI; {}", kRemedy);
}

MpiSession::~MpiSession() = default;

bool MpiSession::claim_to_speak() { return true; }

void MpiSession::abort(int exit_code) { std::_Exit(exit_code); }

void MpiSession::find_neighbours() { host_ = host_name(); }

std::string mpi_library() { return ""; }

MpiCommunicator::MpiCommunicator(MpiSession& session, double, int)
    : rank_(session.rank()), size_(session.size()), transport_(std::make_unique<MpiTransport>()) {}

MpiCommunicator::~MpiCommunicator() = default;

Work MpiCommunicator::all_gather(Span slice, Span full) { return transport_->alone().all_gather(slice, full); }

Work MpiCommunicator::reduce_scatter(Span full, Span slice, Span scratch, OnBlock on_block) {
  return transport_->alone().reduce_scatter(full, slice, scratch, std::move(on_block));
}

Work MpiCommunicator::all_reduce(Span full, Span scratch) { return transport_->alone().all_reduce(full, scratch); }

void MpiCommunicator::exchange(const void* mine, void* all, int64_t bytes) { transport_->alone().exchange(mine, all, bytes); }

at::Tensor MpiCommunicator::allocate(int64_t bytes) { return transport_->alone().allocate(bytes); }

void MpiCommunicator::abandon() noexcept {}

std::shared_ptr<Communicator> connect(MpiSession& session, const ConnectOptions& options, std::string*) {
  if (options.pretend_hosts > 1) fail(ErrorKind::configuration, "comm.pretend_hosts is {}, over which one rank cannot be spread", options.pretend_hosts);
  return std::make_shared<HostCommunicator>(std::make_shared<MpiCommunicator>(session), options.watch);
}

}  // namespace zerorun
