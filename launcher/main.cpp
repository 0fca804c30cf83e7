// The program. Errors come up to here, and become a message and an exit status (launcher/failure.h).
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <optional>

#include "core/error.h"
#include "core/memory.h"
#include "launcher/command_line.h"
#include "launcher/environment.h"
#include "launcher/estimate/estimate.h"
#include "launcher/evaluate.h"
#include "launcher/failure.h"
#include "launcher/generate.h"
#include "launcher/json_schema.h"
#include "launcher/ladder_run.h"
#include "launcher/page/report_command.h"
#include "launcher/plan.h"
#include "launcher/planner/plan_search.h"
#include "launcher/pretrained.h"
#include "launcher/signals.h"
#include "launcher/start_timing.h"
#include "launcher/train.h"

namespace zerorun {
namespace {

// A table or a plan that never arrived is no success.
void check_standard_output() {
  errno = 0;
  if (!std::cout.flush()) fail(ErrorKind::io, "cannot write to standard output: {}", system_message(errno));
}

// Rank of this process under mpirun, before MPI starts; 0 without mpirun.
int launched_rank() {
  const char* rank = std::getenv("OMPI_COMM_WORLD_RANK");
  return rank ? std::atoi(rank) : 0;
}

// The command line and the settings are read before MPI starts, since they say how long to wait for it. An error in them
// is told when the ranks have met, so that one speaks. `signals`: where the work ends in order on request.
template <typename Work>
int run_on_ranks(const Settings& settings, std::exception_ptr unreadable, std::optional<StopSignals>& signals, Work work) {
  MpiSession session(static_cast<double>(settings.comm.timeout_seconds), [](const std::string& message) {
    if (!message.empty()) say({static_cast<int>(ErrorKind::timeout), message});
    _exit(static_cast<int>(ErrorKind::timeout));
  });
  try {
    if (unreadable) std::rethrow_exception(unreadable);
    const int status = work(session);
    check_standard_output();
    return status;
  } catch (...) {
    signals.reset();  // mpirun ends the ranks with SIGTERM
    abort_all(session, describe(std::current_exception()));
  }
}

int train_on_ranks(const Settings& settings, std::exception_ptr unreadable) {
  std::optional<StopSignals> signals(std::in_place);
  return run_on_ranks(settings, unreadable, signals, [&](MpiSession& session) { return train(settings, session, *signals, std::cout); });
}

// What does not end in order on request.
template <typename Work>
int run_to_the_end(const Settings& settings, Work work) {
  std::optional<StopSignals> none;
  return run_on_ranks(settings, nullptr, none, [&](MpiSession& session) {
    work(session);
    return 0;
  });
}

int run(int argc, char** argv) {
  const auto start = std::chrono::steady_clock::now();
  const bool under_mpirun = std::getenv("OMPI_COMM_WORLD_RANK") != nullptr;
  CommandLine line;
  Settings settings;
  std::exception_ptr unreadable;
  try {
    line = parse_command_line(argc, argv);
    if (line.command == CommandLine::Command::train || line.command == CommandLine::Command::evaluate || line.offload || line.inference) {
      settings = read_settings(line.config, line.overrides);
      settle_model(settings);
    }
  } catch (...) {
    if (!under_mpirun) throw;
    unreadable = std::current_exception();
  }
  if (unreadable || line.command == CommandLine::Command::train) return train_on_ranks(settings, unreadable);
  if (line.command == CommandLine::Command::evaluate) {
    return run_to_the_end(settings, [&](MpiSession& session) { evaluate(settings, line.json, session, std::cout); });
  }
  if (line.command == CommandLine::Command::generate) {
    return run_to_the_end({}, [&](MpiSession& session) { generate(line.generate, session, std::cout, std::cerr); });
  }
  if (line.offload) {
    return run_to_the_end(settings, [&](MpiSession& session) { run_offload_bench(*line.offload, settings, session, std::cout); });
  }
  if (line.inference) {
    return run_to_the_end(settings, [&](MpiSession& session) { run_inference_bench(*line.inference, settings, session, std::cout); });
  }
  if (line.command == CommandLine::Command::bench && !line.rates) {
    return run_to_the_end({}, [&](MpiSession& session) { run_ladder(line.ladder, session, std::cout); });
  }
  if (line.timing) {
    return run_to_the_end({}, [&](MpiSession& session) { print_start_timing({start, std::chrono::steady_clock::now()}, session, line.json, std::cout); });
  }
  if (launched_rank() != 0) return 0;  // nothing that ranks share: one does it
  switch (line.command) {
    case CommandLine::Command::help: std::cout << help_text(); break;
    case CommandLine::Command::version: std::cout << "zerorun " << version() << '\n'; break;
    case CommandLine::Command::plan: line.search ? plan_search(line, std::cout) : plan(line, std::cout); break;
    case CommandLine::Command::estimate: print_estimate(line.estimate, std::cout); break;
    case CommandLine::Command::report: page::report(line.config, line.out, std::cout); break;
    case CommandLine::Command::schema: std::cout << configuration_schema() << '\n'; break;
    case CommandLine::Command::env: print_environment(line.json, std::cout); break;
    case CommandLine::Command::train:
    case CommandLine::Command::evaluate:
    case CommandLine::Command::generate: break;
    case CommandLine::Command::bench: run_rates(*line.rates, std::cout); break;
  }
  check_standard_output();
  return 0;
}

}  // namespace
}  // namespace zerorun

int main(int argc, char** argv) {
  zerorun::install_counting_allocators();
  try {
    return zerorun::run(argc, argv);
  } catch (...) {
    const auto failure = zerorun::describe(std::current_exception());
    zerorun::say(failure);
    return failure.status;
  }
}
