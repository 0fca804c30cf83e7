#include <boost/algorithm/string.hpp>

#include "launcher/ladder.h"
#include "launcher/usage.h"

namespace zerorun {
namespace {

namespace po = boost::program_options;

po::variables_map parse(int argc, const char* const* argv) {
  po::options_description options;
  auto add = options.add_options();
  for (const char* name : {"hidden-size", "layers", "heads", "seq-len", "batch", "steps"}) add(name, po::value<int64_t>());
  add("preset", po::value<std::string>())("rows", po::value<std::string>())("json", po::bool_switch())(
      "words", po::value<std::vector<std::string>>());
  po::positional_options_description positional;
  positional.add("words", -1);
  return parse_options(argc, argv, options, positional);
}

std::optional<int64_t> number(const po::variables_map& given, const char* name) {
  constexpr int64_t kMost = 1'000'000;
  if (given.count(name) == 0) return std::nullopt;
  const int64_t value = given[name].as<int64_t>();
  if (value < 1 || value > kMost) fail_usage("--{} is {}, expected 1 to {}", name, value, kMost);
  return value;
}

void check_words(const po::variables_map& given) {
  const auto words = given.count("words") != 0 ? given["words"].as<std::vector<std::string>>() : std::vector<std::string>();
  if (words.size() < 2 || words[1] != "ladder") {
    fail_usage("zerorun bench knows ladder, offload, inference and rates{}", words.size() < 2 ? "" : fmt::format(", found {}", words[1]));
  }
  if (words.size() > 2) fail_usage("zerorun bench ladder takes no file, found {}", words[2]);
}

}  // namespace

LadderOptions parse_ladder_options(int argc, const char* const* argv) {
  const auto given = parse(argc, argv);
  check_words(given);
  LadderOptions options;
  options.hidden_size = number(given, "hidden-size");
  options.layers = number(given, "layers");
  options.heads = number(given, "heads");
  const int sizes = options.hidden_size.has_value() + options.layers.has_value() + options.heads.has_value();
  if (sizes != 0 && (sizes != 3 || given.count("preset") != 0)) {
    fail_usage("the model is --preset NAME, or --hidden-size, --layers and --heads together");
  }
  if (given.count("preset") != 0) options.preset = given["preset"].as<std::string>();
  options.seq_len = number(given, "seq-len").value_or(options.seq_len);
  options.batch = number(given, "batch").value_or(options.batch);
  options.steps = number(given, "steps").value_or(options.steps);
  if (given.count("rows") != 0) boost::split(options.rows, given["rows"].as<std::string>(), boost::is_any_of(","));
  options.json = given["json"].as<bool>();
  return options;
}

}  // namespace zerorun
