// How a job ends that cannot go on: one rank says why, and all end.
#pragma once
#include <exception>
#include <mutex>
#include <string>
#include <utility>

#include "comm/mpi_session.h"

namespace zerorun {

struct Failure {
  int status;  // of the process: the ErrorKind
  std::string message;
  bool of_peer = false;  // another rank knows why
};

Failure describe(const std::exception_ptr& error);

void say(const Failure& failure);

// All ranks often fail alike; one speaks for them, rank 0 if it fails too. Who failed because another did leaves it the word, and the status. On any thread.
[[noreturn]] void abort_all(MpiSession& session, const Failure& failure);

// Why this rank unwinds, for who has to end it before that is done. Thread-safe.
class LastWords {
 public:
  // Remembers what `body` throws.
  template <typename Body>
  auto keep(Body&& body) {
    try {
      return body();
    } catch (...) {
      set(std::current_exception());
      throw;
    }
  }
  std::exception_ptr or_else(std::exception_ptr other) const {
    const std::lock_guard lock(mutex_);
    return error_ ? error_ : other;
  }

 private:
  void set(std::exception_ptr error) {
    const std::lock_guard lock(mutex_);
    error_ = std::move(error);
  }

  mutable std::mutex mutex_;
  std::exception_ptr error_;
};

}  // namespace zerorun
