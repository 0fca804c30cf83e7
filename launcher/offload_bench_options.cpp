#include "launcher/offload_bench.h"
#include "launcher/overrides.h"
#include "launcher/usage.h"

namespace zerorun {
namespace {

namespace po = boost::program_options;

constexpr int64_t kMostSteps = 10'000;

}  // namespace

OffloadBenchOptions parse_offload_bench_options(int argc, const char* const* argv) {
  po::options_description known;
  known.add_options()("steps", po::value<int64_t>())("set", po::value<std::vector<std::string>>()->composing())("json", po::bool_switch())(
      "words", po::value<std::vector<std::string>>());
  po::positional_options_description positional;
  positional.add("words", -1);
  const auto given = parse_options(argc, argv, known, positional);
  const auto words = given["words"].as<std::vector<std::string>>();
  if (words.size() != 3) fail_usage("zerorun bench offload takes one configuration: zerorun bench offload train.yaml");
  OffloadBenchOptions options;
  options.config = words[2];
  if (given.count("steps") != 0) options.steps = given["steps"].as<int64_t>();
  if (options.steps < 1 || options.steps > kMostSteps) fail_usage("--steps is {}, expected 1 to {}", options.steps, kMostSteps);
  if (given.count("set") != 0) options.overrides = parse_overrides(given["set"].as<std::vector<std::string>>());
  options.json = given["json"].as<bool>();
  return options;
}

}  // namespace zerorun
