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

std::string help_text() {
  return R"(zerorun trains transformer models sharded over MPI ranks (ZeRO stages 0-3).

  mpirun -np 8 zerorun train.yaml        train; `zerorun train train.yaml` is the same
  zerorun evaluate train.yaml [--json]   loss and perplexity over the validation split, of the weights of model.hf_path; also with mpirun
  zerorun generate --hf DIR --prompt T   go on from a text, with the weights of a run or of a Hugging Face folder
  zerorun plan train.yaml --ranks 8      the memory and traffic of that run, without running it
  zerorun plan train.yaml --ranks 8 --search   the fastest way to train it that fits (below)
  zerorun estimate --model 7b --ranks 8  memory, traffic and inference of a model by name or config.json, without a configuration
  zerorun report runs/train              a page of a run that has ended, report.html in its folder: memory, loss, time, traffic
  zerorun bench ladder [--json]          a training of a GPT-2 made cheaper rung by rung on this machine: memory and time; also with mpirun
  zerorun bench offload train.yaml       its training and inference with nothing asleep, with moves it waits for, and with moves beside it; also with mpirun
  zerorun bench inference train.yaml     how long its model takes for a prompt and for each token after it, the memory, and room for keys and values; also with mpirun
  zerorun bench rates [--path FOLDER]    what this machine moves and computes in a second: memory, the disk of a folder, matrix products, updates
  zerorun schema                         the JSON Schema of the file, for editors and checks
  zerorun env [--json]                   what a report of a problem should say of this machine and build
  mpirun -np 2 zerorun env --timing      what takes the time from mpirun to the first step, here

Options
  --set KEY=VALUE   override a key of the file, such as --set training.steps=5; may be repeated
  --ranks N         plan: the number of ranks; --hosts H: that they sit on, 1 unless set
  --search          plan: try every way to shard, sleep and compute again; --device NAME: on such GPUs (h100, a100, ...), or --rates FILE:
                    by the rates of bench rates; --device-memory, --host-memory, --disk SIZE: of a GPU, and of a host for all its ranks;
                    --write FILE: the best plan, as a configuration that runs
  --out FILE        report: where the page goes
  --json            evaluate, plan, env, bench: print JSON
  --preset NAME     bench ladder: the model, mingpt-gpt2-large-sort unless set; or --hidden-size N --layers N --heads N
  --batch N         bench ladder: samples of a step, 128; --seq-len N: tokens of a sample, 11; --steps N: of each rung, 3; bench offload: that are timed, 3
  --requests R      bench inference: that are timed, 10, after one that is not; --batch N: samples of each, 1; --prompt-tokens N: of a sample, 512;
                    --new-tokens M: after them, 50; --memory SIZE: of a rank, to see how many tokens' keys and values fit
  --path FOLDER     bench rates: on the disk to measure; --mib N: that are moved, 1024
  --rows NAMES      bench ladder: some of whole,half,quarter,accumulation,recompute,momentum,sgd,bf16,sharded,sharded-bf16,
                    sharded-offload,bf16-offload,offload
  --help, -h        this text
  --version         the version

)" + std::string(generate_help()) + "\n" + estimate_help() + R"(
The keys of the file, the run folder and the exit codes are described in launcher/README.md.
)";
}

std::string version() { return ZERORUN_VERSION; }

}  // namespace zerorun
