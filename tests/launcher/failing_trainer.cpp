// A training that goes wrong on one rank in the way that its arguments say; trials_test.py starts it.
//   failing_trainer skip|size|exit RANK COLLECTIVE HOSTS CHECKS
// HOSTS are comm.pretend_hosts, CHECKS is 1 for comm.check_every_collective. skip: the rank leaves out its n-th collective; size: it calls its n-th reduction with half as much; exit: it ends before MPI starts.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "comm/forwarding_communicator.h"
#include "comm/mpi_session.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/threads.h"
#include "launcher/ranks.h"
#include "tests/zero/world.h"

namespace zerorun::testing {
namespace {

constexpr int kTimeout = 3;

class GoesWrong final : public ForwardingCommunicator {
 public:
  GoesWrong(Communicator& inner, bool skips, int collective) : ForwardingCommunicator(inner), skips_(skips), collective_(collective) {}
  Work all_gather(Span slice, Span full) override {
    return skips_ && is_wrong() ? Work() : inner_.all_gather(slice, full);
  }
  Work reduce_scatter(Span full, Span slice, Span scratch, OnBlock on_block) override {
    if (!is_wrong()) return inner_.reduce_scatter(full, slice, scratch, on_block);
    return skips_ ? Work() : inner_.reduce_scatter(full.part(0, full.count / 2), slice.part(0, slice.count / 2), scratch, on_block);
  }

 private:
  bool is_wrong() { return ++calls_ == collective_; }

  bool skips_;
  int collective_, calls_ = 0;
};

void train(Communicator& communicator) {
  const Model model = make_gpt2(tiny_gpt2(/*tied=*/false));
  const auto optimizer = make_adamw({});
  MemoryLedger ledger;
  Engine engine(model, communicator, *optimizer, ledger, {.sharding = Sharding::of_stage(3)});
  const CountedBatches data(77, 16, communicator.size());
  for (int64_t step = 0;; ++step) {
    const MemoryScope scope(ledger, Category::activations);
    engine.train_step(micro_batches(data, step, 1, 1, communicator.rank(), communicator.size()), 1e-3);
    if (communicator.rank() == 0) std::printf("step %d\n", static_cast<int>(step)), std::fflush(stdout);
  }
}

void say(const std::string& message) { std::fprintf(stderr, "zerorun: %s\n", message.c_str()); }

int run(const std::string& way, int rank, int collective, int hosts, bool checks) {
  const char* own = std::getenv("OMPI_COMM_WORLD_RANK");
  const bool fails = own && std::atoi(own) == rank;
  if (fails && way == "exit") std::exit(0);
  if (way == "exit") std::this_thread::sleep_for(std::chrono::milliseconds(700));  // else mpirun notices, and ends the job with 1
  set_compute_threads(1);
  MpiSession session(kTimeout, [](const std::string& message) {
    if (!message.empty()) say(message);
    _exit(static_cast<int>(ErrorKind::timeout));
  });
  try {
    Settings settings;
    settings.comm.timeout_seconds = kTimeout;
    settings.comm.pretend_hosts = hosts;
    settings.comm.check_every_collective = checks;
    const auto ranks = connect_ranks(session, settings);
    GoesWrong wrong(*ranks, way == "skip", fails ? collective : 0);
    train(wrong);
  } catch (const Error& error) {
    if (dynamic_cast<const PeerFailed*>(&error)) std::this_thread::sleep_for(std::chrono::seconds(3));
    if (session.claim_to_speak()) say(error.what());
    session.abort(static_cast<int>(error.kind()));
  }
  return 0;
}

}  // namespace
}  // namespace zerorun::testing

int main(int, char** argv) {
  zerorun::install_counting_allocators();
  return zerorun::testing::run(argv[1], std::atoi(argv[2]), std::atoi(argv[3]), std::atoi(argv[4]), argv[5] == std::string("1"));
}
