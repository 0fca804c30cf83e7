// A program with its own MPI: world ranks 0 and 2 of three make a session over a communicator of theirs, in another order, while
// rank 1 does something else. Exits 1 with a line where anything is not as it should be.
#include <mpi.h>

#include <cstdio>
#include <vector>

#include "comm/mpi_communicator.h"
#include "comm/mpi_session.h"
#include "core/error.h"
#include "core/memory.h"

namespace zerorun {
namespace {

int problems = 0;

void expect(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "not so: %s\n", what);
  ++problems;
}

void sum_over(MPI_Comm pair, int world_rank) {
  MpiSession session(MPI_Comm_c2f(pair));
  MpiCommunicator communicator(session);
  expect(session.size() == 2 && session.local_size() == 2, "the session has the ranks of the communicator");
  expect(communicator.rank() == (world_rank == 0 ? 1 : 0), "ranks are those in the communicator");
  std::vector<float> full = {1.0f + static_cast<float>(world_rank), 10, 20, 30};
  std::vector<char> scratch(static_cast<size_t>(communicator.reduce_scratch_bytes(2, at::kFloat)));
  communicator.all_reduce({full.data(), 4, at::kFloat}, {scratch.data(), static_cast<int64_t>(scratch.size()), at::kByte}).wait();
  expect(full == std::vector<float>{4, 20, 40, 60}, "the sum is over ranks 0 and 2");
}

void refuse_before_mpi() {
  try {
    MpiSession session(0);
    expect(false, "a session over a communicator needs MPI");
  } catch (const Error& error) {
    expect(error.kind() == ErrorKind::bug, "that is the caller's bug");
  }
}

void run() {
  refuse_before_mpi();
  int provided = 0, rank = 0, finalised = 1;
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm pair = MPI_COMM_NULL;
  MPI_Comm_split(MPI_COMM_WORLD, rank == 1 ? MPI_UNDEFINED : 0, -rank, &pair);
  if (pair != MPI_COMM_NULL) {
    sum_over(pair, rank);
    MPI_Comm_free(&pair);
  }
  MPI_Finalized(&finalised);
  expect(!finalised, "MPI is still the caller's");
  int sum = 0;
  MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  expect(sum == 3, "and works");
  MPI_Finalize();
}

}  // namespace
}  // namespace zerorun

int main() {
  zerorun::install_counting_allocators();
  zerorun::run();
  return zerorun::problems ? 1 : 0;
}
