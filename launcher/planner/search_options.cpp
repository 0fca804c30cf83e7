#include "launcher/planner/search_options.h"

#include <fmt/ranges.h>

#include "core/nearest_name.h"
#include "launcher/known_devices.h"
#include "launcher/settings_values.h"
#include "launcher/usage.h"

namespace zerorun {
namespace {

namespace po = boost::program_options;

constexpr const char* kSizes[] = {"device-memory", "host-memory", "disk"};
constexpr const char* kWords[] = {"device", "rates", "write"};

std::optional<std::string> word_of(const po::variables_map& given, const char* name) {
  return given.count(name) != 0 ? std::optional(given[name].as<std::string>()) : std::nullopt;
}

std::optional<int64_t> size_of(const po::variables_map& given, const char* name) {
  const auto word = word_of(given, name);
  if (!word) return std::nullopt;
  const Size size(1, int64_t{1} << 53);
  const auto bytes = size.read(*word);
  if (!bytes) fail_usage("plan: --{} is '{}', expected {}", name, *word, size.expected());
  return bytes;
}

}  // namespace

void add_search_options(po::options_description& options) {
  options.add_options()("search", po::bool_switch());
  for (const auto* name : kSizes) options.add_options()(name, po::value<std::string>());
  for (const auto* name : kWords) options.add_options()(name, po::value<std::string>());
}

std::optional<SearchOptions> read_search_options(const po::variables_map& given) {
  if (!given["search"].as<bool>()) {
    const auto check = [&](const char* name) {
      if (given.count(name) != 0) fail_usage("--{} belongs to zerorun plan FILE --search", name);
    };
    for (const auto* name : kSizes) check(name);
    for (const auto* name : kWords) check(name);
    return std::nullopt;
  }
  SearchOptions options{size_of(given, "device-memory"), size_of(given, "host-memory"), size_of(given, "disk"),
                        word_of(given, "device"),        word_of(given, "rates"),       word_of(given, "write")};
  if (options.device && options.rates) fail_usage("plan: give --device, whose rates are known, or --rates FILE, not both");
  if (options.device && !find_device(*options.device)) {
    fail_usage("plan: --device is '{}'{}, expected {}; or --rates FILE, which zerorun bench rates writes", *options.device, did_you_mean(*options.device, known_device_names()),
               fmt::join(known_device_names(), ", "));
  }
  return options;
}

}  // namespace zerorun
