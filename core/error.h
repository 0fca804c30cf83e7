// Errors of zerorun: exceptions that carry which kind of failure it was. Libraries throw; only main turns the kind into
// an exit status. A message says what is wrong, where, what was expected and what to do.
#pragma once
#include <fmt/format.h>

#include <stdexcept>
#include <string>

namespace zerorun {

// The values are the exit statuses of the program.
enum class ErrorKind : int {
  usage = 64,
  bad_data = 65,
  missing_input = 66,
  bug = 70,
  cannot_create = 73,
  io = 74,
  stopped = 75,
  configuration = 78,
  non_finite = 80,
  disagreement = 81,
  timeout = 82,
  out_of_memory = 83,
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

// Another rank failed first; that rank's message is the one to show.
class PeerFailed : public Error {
 public:
  using Error::Error;
};

template <typename... Values>
[[noreturn]] void fail(ErrorKind kind, fmt::format_string<Values...> format, Values&&... values) {
  throw Error(kind, fmt::format(format, std::forward<Values>(values)...));
}

// The message for errno, e.g. "No space left on device".
std::string system_message(int error_number);

}  // namespace zerorun

// A broken REQUIRES is the caller's bug: ZR_CHECK(n > 0, "n is {}, expected a positive number", n).
#define ZR_CHECK(condition, ...)                                      \
  do {                                                                \
    if (!(condition)) ::zerorun::fail(::zerorun::ErrorKind::bug, __VA_ARGS__); \
  } while (false)
