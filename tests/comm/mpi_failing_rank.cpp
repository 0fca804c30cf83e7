// A rank of a job that goes wrong in the way its argument says; mpi_failure_test starts it. Prints its process id first.
#include <mpi.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "comm/mpi_communicator.h"
#include "comm/mpi_session.h"
#include "core/error.h"

namespace zerorun {
namespace {

void exit_on_timeout(const std::string& message) {
  std::fprintf(stderr, "%s\n", message.c_str());
  _exit(82);
}

void gather(Communicator& communicator, int64_t slice_count, at::ScalarType dtype = at::kFloat) {
  std::vector<char> memory(static_cast<size_t>(slice_count * communicator.size() * 8));
  const Span whole{memory.data(), slice_count * communicator.size(), dtype};
  communicator.all_gather(whole.slice(communicator.rank(), communicator.size()), whole).wait();
}

void exchange(Communicator& communicator, int64_t bytes) {
  std::vector<char> mine(static_cast<size_t>(bytes)), all(static_cast<size_t>(bytes * communicator.size()));
  communicator.exchange(mine.data(), all.data(), bytes);
}

// Leaves with a collective under way that the peers never join, and frees its memory.
void unwind_from_a_gather(Communicator& communicator) {
  struct Owner {
    Communicator& communicator;
    std::vector<char> memory = std::vector<char>(64 << 20);
    ~Owner() { communicator.abandon(); }
  } owner{communicator};
  const Span whole{owner.memory.data(), static_cast<int64_t>(owner.memory.size()) / communicator.size() * communicator.size(), at::kByte};
  const Work gather = communicator.all_gather(whole.slice(communicator.rank(), communicator.size()), whole);
  fail(ErrorKind::bad_data, "token 70000 is out of range");
}

void go_wrong(const std::string& way, Communicator& communicator) {
  const bool last = communicator.rank() == communicator.size() - 1;
  gather(communicator, 1000);
  if (way == "throws" && last) fail(ErrorKind::bad_data, "token 70000 is out of range");
  if (way == "abandons" && last) unwind_from_a_gather(communicator);
  if (way == "abandons") std::this_thread::sleep_for(std::chrono::minutes(1));
  if (way == "longer") gather(communicator, last ? 2000 : 1000);
  if (way == "dtype") gather(communicator, 1000, last ? at::kInt : at::kFloat);
  if (way == "kind") last ? exchange(communicator, 4000) : gather(communicator, 1000);
  for (int unit = 0; way == "skips" && unit < 3; ++unit) {
    communicator.tell(Activity("unit " + std::to_string(unit)));
    if (!last || unit != 1) gather(communicator, 1000);
  }
  gather(communicator, 1 << 20);
}

void before_init(const std::string& way, bool is_rank_1) {
  if (way == "exits_before_init" && is_rank_1) std::exit(0);
  if (way == "exits_before_init") std::this_thread::sleep_for(std::chrono::seconds(1));
  if (way == "exits_while_others_init" && is_rank_1) {
    std::this_thread::sleep_for(std::chrono::seconds(1));
    std::exit(0);
  }
  while (way == "hangs_before_init" && is_rank_1) std::this_thread::sleep_for(std::chrono::seconds(1));
}

int run(const std::string& way) {
  const char* rank = std::getenv("OMPI_COMM_WORLD_RANK");
  std::fprintf(stderr, "pid %d\n", getpid());
  before_init(way, rank && std::string(rank) == "1");
  MpiSession session(3, exit_on_timeout);
  try {
    MpiCommunicator communicator(session);
    go_wrong(way, communicator);
  } catch (const Error& error) {
    std::fprintf(stderr, "rank %d: %s\n", session.rank(), error.what());
    session.abort(static_cast<int>(error.kind()));
  }
  return 0;
}

// The caller's MPI is used twice and left initialised.
int borrow() {
  int provided = 0, finalised = 0;
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided);
  for (int i = 0; i < 2; ++i) {
    MpiSession session(30, exit_on_timeout);
    MpiCommunicator communicator(session);
    gather(communicator, 8);
  }
  MPI_Finalized(&finalised);
  MPI_Finalize();
  return finalised;
}

// The first session has finalised MPI when the second comes.
int start_again() {
  { const MpiSession session(30, exit_on_timeout); }
  try {
    const MpiSession session(30, exit_on_timeout);
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return static_cast<int>(error.kind());
  }
  return 0;
}

int unwind() {
  try {
    MpiSession session(30, exit_on_timeout);
    if (session.rank() == 1) fail(ErrorKind::bad_data, "token 70000 is out of range");
    MpiCommunicator communicator(session);
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return static_cast<int>(error.kind());
  }
  return 0;
}

}  // namespace
}  // namespace zerorun

int main(int, char** argv) {
  const std::string way = argv[1];
  if (way == "borrows") return zerorun::borrow();
  if (way == "starts_again") return zerorun::start_again();
  if (way == "unwinds") return zerorun::unwind();
  return zerorun::run(way);
}
