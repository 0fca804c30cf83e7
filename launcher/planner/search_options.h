// `zerorun plan FILE --search`: what there is to plan with.
#pragma once
#include <boost/program_options.hpp>
#include <cstdint>
#include <optional>
#include <string>

namespace zerorun {

struct SearchOptions {
  std::optional<int64_t> device_memory;            // bytes of each GPU
  std::optional<int64_t> host_memory, disk;        // bytes of each host, for all its ranks
  std::optional<std::string> device;               // a known device's name
  std::optional<std::string> rates;                // a file of `zerorun bench rates`
  std::optional<std::string> write;                // where the best plan goes
};

void add_search_options(boost::program_options::options_description& options);
// None without --search. Throws Error(usage): a size that is none, a device that is not known (with the nearest name), --device beside --rates, an option without --search.
std::optional<SearchOptions> read_search_options(const boost::program_options::variables_map& given);

}  // namespace zerorun
