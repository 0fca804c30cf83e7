#include "launcher/command_line.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>

#include "core/nearest_name.h"
#include "launcher/overrides.h"
#include "launcher/usage.h"

namespace zerorun {
namespace {

namespace po = boost::program_options;
using Command = CommandLine::Command;

constexpr int kMostRanks = 65'536;

po::variables_map parse(int argc, const char* const* argv) {
  po::options_description options;
  options.add_options()("help,h", po::bool_switch())("version", po::bool_switch())("json", po::bool_switch())("timing", po::bool_switch())(
      "ranks", po::value<int>())("hosts", po::value<int>())("out", po::value<std::string>())(
      "set", po::value<std::vector<std::string>>()->composing())("words", po::value<std::vector<std::string>>());
  add_search_options(options);
  po::positional_options_description positional;
  positional.add("words", -1);
  return parse_options(argc, argv, options, positional);
}

struct NamedCommand {
  const char* name;
  Command command;
  bool takes_file;
};
constexpr NamedCommand kCommands[] = {
    {"train", Command::train, true}, {"evaluate", Command::evaluate, true}, {"generate", Command::generate, false}, {"plan", Command::plan, true},
    {"estimate", Command::estimate, false}, {"report", Command::report, true},
    {"bench", Command::bench, false}, {"schema", Command::schema, false}, {"env", Command::env, false}};

const NamedCommand* find_command(const std::string& word) {
  const auto found = std::find_if(std::begin(kCommands), std::end(kCommands), [&](const auto& named) { return word == named.name; });
  return found == std::end(kCommands) ? nullptr : found;
}

std::vector<std::string> command_names() {
  std::vector<std::string> names;
  for (const auto& named : kCommands) names.push_back(named.name);
  return names;
}

// `FILE`, `train FILE`, `evaluate FILE`, `plan FILE`, `schema` or `env`.
void read_words(std::vector<std::string> words, CommandLine& line) {
  const auto* named = words.empty() ? nullptr : find_command(words.front());
  line.command = named ? named->command : Command::train;
  if (named) {
    words.erase(words.begin());
  } else if (words.size() > 1) {
    fail_usage("unknown command {}{}, expected {}", words.front(), did_you_mean(words.front(), command_names()),
               fmt::join(command_names(), ", "));
  }
  if (line.command == Command::generate) fail_usage("generate comes before its options: zerorun generate --hf DIR");
  if (line.command == Command::estimate) fail_usage("estimate comes before its options: zerorun estimate --model NAME");
  if (line.command == Command::bench) fail_usage("bench comes before its options: zerorun bench ladder, zerorun bench offload FILE, zerorun bench inference FILE or zerorun bench rates");
  if (named && !named->takes_file) {
    if (!words.empty()) fail_usage("zerorun {} takes no file, found {}", named->name, words.front());
    return;
  }
  const bool of_run = line.command == Command::report;
  if (words.empty()) fail_usage("{}", of_run ? "missing the run folder: zerorun report runs/train" : "missing the configuration: zerorun train.yaml");
  if (words.size() > 1) fail_usage("one {} at a time, found {} and {}", of_run ? "run folder" : "configuration", words[0], words[1]);
  line.config = words.front();
}

void read_ranks(const po::variables_map& given, CommandLine& line) {
  line.ranks = given["ranks"].as<int>();
  if (line.ranks < 1 || line.ranks > kMostRanks) fail_usage("--ranks is {}, expected 1 to {}", line.ranks, kMostRanks);
  if (given.count("hosts") != 0) line.hosts = given["hosts"].as<int>();
  if (line.hosts < 1 || line.hosts > line.ranks) fail_usage("--hosts is {}, expected 1 to the {} of --ranks", line.hosts, line.ranks);
}

// Options that do not belong to the command are errors.
void check_options(const po::variables_map& given, const CommandLine& line) {
  const bool has_ranks = given.count("ranks") != 0;
  if (given.count("hosts") != 0 && line.command != Command::plan) fail_usage("--hosts belongs to zerorun plan");
  if (given["search"].as<bool>() && line.command != Command::plan) fail_usage("--search belongs to zerorun plan");
  if (given.count("out") != 0 && line.command != Command::report) fail_usage("--out belongs to zerorun report");
  if (line.timing && line.command != Command::env) fail_usage("--timing belongs to zerorun env");
  if (line.command == Command::train) {
    if (has_ranks) fail_usage("--ranks belongs to zerorun plan; a training's ranks are those of mpirun -np N");
    if (line.json) fail_usage("--json belongs to zerorun evaluate, plan and env; a training writes report.json into its run folder");
  } else if (line.command == Command::evaluate) {
    if (has_ranks) fail_usage("--ranks belongs to zerorun plan; an evaluation's ranks are those of mpirun -np N");
  } else if (line.command == Command::plan) {
    if (!has_ranks) fail_usage("zerorun plan needs --ranks N");
  } else {
    if (has_ranks) fail_usage("--ranks belongs to zerorun plan");
    if (given.count("set") != 0) fail_usage("--set belongs to zerorun train, evaluate and plan, which read a configuration");
    if (line.json && line.command == Command::report) fail_usage("zerorun report writes a page; report.json in the run folder is its JSON");
    if (line.json && line.command == Command::schema) fail_usage("zerorun schema prints JSON, without --json");
  }
}

CommandLine parse_bench(int argc, const char* const* argv) {
  CommandLine line;
  const auto asks_for_help = [](std::string_view word) { return word == "--help" || word == "-h"; };
  if (std::any_of(argv + 1, argv + argc, asks_for_help)) return line;
  line.command = Command::bench;
  const std::string_view what = argc > 2 ? argv[2] : "";
  if (what == "rates") {
    line.rates = parse_rates_options(argc, argv);
  } else if (what == "offload") {
    line.offload = parse_offload_bench_options(argc, argv);
    line.config = line.offload->config;
    line.overrides = line.offload->overrides;
  } else if (what == "inference") {
    line.inference = parse_inference_bench_options(argc, argv);
    line.config = line.inference->config;
    line.overrides = line.inference->overrides;
  } else {
    line.ladder = parse_ladder_options(argc, argv);
  }
  return line;
}

template <typename T>
T option(const po::variables_map& given, const char* name) {
  return given.count(name) != 0 ? given[name].as<T>() : T();
}

}  // namespace

CommandLine parse_command_line(int argc, const char* const* argv) {
  if (argc > 1 && argv[1] == std::string_view("bench")) return parse_bench(argc, argv);
  CommandLine line;
  if (argc > 1 && argv[1] == std::string_view("generate")) {  // its options are its own
    const auto generate = parse_generate(argc - 1, argv + 1);
    if (!generate) return line;
    line.command = Command::generate;
    line.generate = *generate;
    return line;
  }
  if (argc > 1 && argv[1] == std::string_view("estimate")) {
    const auto estimate = parse_estimate(argc - 1, argv + 1);
    if (!estimate) return line;
    line.command = Command::estimate;
    line.estimate = *estimate;
    return line;
  }
  const po::variables_map given = parse(argc, argv);
  if (given["help"].as<bool>()) return line;
  line.command = Command::version;
  if (given["version"].as<bool>()) return line;
  line.json = given["json"].as<bool>();
  line.timing = given["timing"].as<bool>();
  read_words(option<std::vector<std::string>>(given, "words"), line);
  check_options(given, line);
  line.search = read_search_options(given);
  if (line.command == Command::plan) read_ranks(given, line);
  if (given.count("out") != 0) {
    line.out = given["out"].as<std::string>();
    if (line.out.empty()) fail_usage("--out is empty, expected a file");
  }
  line.overrides = parse_overrides(option<std::vector<std::string>>(given, "set"));
  return line;
}

std::string version() { return ZERORUN_VERSION; }

}  // namespace zerorun
