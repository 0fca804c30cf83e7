// The program. The only place that turns an error into a message and an exit status.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <thread>

#include "core/error.h"
#include "core/memory.h"
#include "launcher/command_line.h"
#include "launcher/plan.h"
#include "launcher/train.h"

namespace zerorun {
namespace {

struct Failure {
  int status;
  std::string message;
};

// Of the exception being handled.
Failure describe() {
  try {
    throw;
  } catch (const Error& error) {
    return {static_cast<int>(error.kind()), error.what()};
  } catch (const std::bad_alloc&) {
    return {static_cast<int>(ErrorKind::out_of_memory), "out of memory"};
  } catch (const std::exception& error) {
    return {static_cast<int>(ErrorKind::bug), error.what()};
  }
}

void say(const Failure& failure) {
  std::cout << std::flush;
  std::fprintf(stderr, "zerorun: %s\n", failure.message.c_str());
  std::fflush(stderr);
}

// All ranks often fail alike; rank 0 then speaks for them, and its abort takes the others down while they wait here.
[[noreturn]] void abort_all(MpiSession& session, const Failure& failure) {
  constexpr auto kCourtesy = std::chrono::milliseconds(300);
  if (session.rank() != 0) std::this_thread::sleep_for(kCourtesy);
  say(failure);
  session.abort(failure.status);
}

// The settings are read before MPI starts, since they say how long to wait for it. An error in them is told when the ranks
// have met, so that one speaks.
int train_on_ranks(const CommandLine& line) {
  Settings settings;
  std::exception_ptr unreadable;
  try {
    settings = read_settings(line.config, line.overrides);
  } catch (...) {
    unreadable = std::current_exception();
  }
  MpiSession session(static_cast<double>(settings.comm.timeout_seconds), [](const std::string& message) {
    say({static_cast<int>(ErrorKind::timeout), message});
    _exit(static_cast<int>(ErrorKind::timeout));
  });
  try {
    if (unreadable) std::rethrow_exception(unreadable);
    return train(settings, session, std::cout);
  } catch (...) {
    abort_all(session, describe());
  }
}

int run(int argc, char** argv) {
  const auto line = parse_command_line(argc, argv);
  switch (line.command) {
    case CommandLine::Command::help: std::cout << help_text(); return 0;
    case CommandLine::Command::version: std::cout << "zerorun " << version() << '\n'; return 0;
    case CommandLine::Command::plan: plan(line, std::cout); return 0;
    case CommandLine::Command::train: return train_on_ranks(line);
  }
  return static_cast<int>(ErrorKind::bug);
}

}  // namespace
}  // namespace zerorun

int main(int argc, char** argv) {
  zerorun::install_counting_allocators();
  try {
    return zerorun::run(argc, argv);
  } catch (...) {
    const auto failure = zerorun::describe();
    zerorun::say(failure);
    return failure.status;
  }
}
