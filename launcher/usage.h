// What the command lines of all commands share: how options are read, and how a mistake is told.
#pragma once
#include <boost/program_options.hpp>
#include <charconv>
#include <optional>
#include <string_view>

#include "core/error.h"

namespace zerorun {

// Throws Error(usage): one line that ends with the hint to --help.
template <typename... Values>
[[noreturn]] void fail_usage(fmt::format_string<Values...> format, Values&&... values) {
  fail(ErrorKind::usage, "{}; see zerorun --help", fmt::format(format, std::forward<Values>(values)...));
}

// The whole of the text is the number, or nothing.
template <typename Number>
std::optional<Number> parse_number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Options in full only, never by their beginning. Words without a dash go to `words`. A mistake is Error(usage), after `command`
// ("generate: ", or nothing).
inline boost::program_options::variables_map parse_options(int argc, const char* const* argv, const boost::program_options::options_description& options,
                                                           const boost::program_options::positional_options_description& words, const char* command = "") {
  namespace po = boost::program_options;
  const int style = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
  po::variables_map given;
  try {
    po::store(po::command_line_parser(argc, argv).options(options).positional(words).style(style).run(), given);
  } catch (const po::error& error) {
    fail_usage("{}{}", command, error.what());
  }
  return given;
}

}  // namespace zerorun
