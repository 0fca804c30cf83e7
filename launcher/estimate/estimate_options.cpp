#include "launcher/estimate/estimate_options.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "core/architectures/architecture.h"
#include "core/nearest_name.h"
#include "launcher/known_devices.h"
#include "launcher/usage.h"

namespace zerorun {
namespace {

namespace po = boost::program_options;

constexpr int64_t kMostRanks = 65'536, kMostSamples = 65'536, kMostTokens = 1'048'576, kMostSlots = 64;
constexpr double kMostBandwidth = 1e15;

template <typename... Values>
[[noreturn]] void fail_estimate(fmt::format_string<Values...> format, Values&&... values) {
  fail_usage("estimate: {}", fmt::format(format, std::forward<Values>(values)...));
}

po::variables_map parse(int argc, const char* const* argv) {
  po::options_description options;
  auto add = options.add_options();
  for (const char* name : {"model", "hf", "params", "largest-layer-params", "compat", "precision", "reduce-dtype", "device", "bandwidth", "unit"}) add(name, po::value<std::string>());
  for (const char* name : {"stage", "ranks", "gpus-per-node", "nodes", "micro-batch", "seq-len", "slots"}) add(name, po::value<int64_t>());
  add("json", po::bool_switch())("help,h", po::bool_switch());
  return parse_options(argc, argv, options, {}, "estimate: ");
}

const std::string* text(const po::variables_map& given, const char* name) { return given.count(name) != 0 ? &given[name].as<std::string>() : nullptr; }

std::optional<int64_t> integer(const po::variables_map& given, const char* name, int64_t least, int64_t most) {
  if (given.count(name) == 0) return std::nullopt;
  const auto value = given[name].as<int64_t>();
  if (value < least || value > most) fail_estimate("--{} is {}, expected {} to {}", name, value, least, most);
  return value;
}

// 7500000000, 7.5e9.
double real(const po::variables_map& given, const char* name, double most) {
  const std::string& word = *text(given, name);
  const auto value = parse_number<double>(word);
  if (!value || !(*value >= 1 && *value <= most)) fail_estimate("--{} is '{}', expected a number from 1 to {}, such as 7.5e9", name, word, most);
  return *value;
}

int64_t count(const po::variables_map& given, const char* name) {
  if (!text(given, name)) return 0;
  const double value = real(given, name, static_cast<double>(kMostParameters));
  if (value != std::floor(value)) fail_estimate("--{} is '{}', expected a whole number of parameters", name, *text(given, name));
  return static_cast<int64_t>(value);
}

double bandwidth(const po::variables_map& given) {
  const std::string* word = text(given, "bandwidth");
  if (!word) return 0;
  const auto device = find_device(*word);
  return device ? device->memory_bandwidth : real(given, "bandwidth", kMostBandwidth);
}

template <typename Value>
void choose(const po::variables_map& given, const char* name, const std::map<std::string, Value>& choices, Value& value) {
  const std::string* word = text(given, name);
  if (!word) return;
  std::vector<std::string> names;
  for (const auto& [choice, chosen] : choices) names.push_back(choice);
  const auto found = choices.find(*word);
  if (found == choices.end()) fail_estimate("--{} is '{}'{}, expected {}", name, *word, did_you_mean(*word, names), fmt::join(names, " or "));
  value = found->second;
}

void read_model(const po::variables_map& given, EstimateOptions& options) {
  if (const auto* name = text(given, "model")) options.model = *name;
  if (const auto* path = text(given, "hf")) options.hf = *path;
  if (!options.model.empty() && !options.hf.empty()) fail_estimate("give --model or --hf, not both");
  options.parameters = count(given, "params");
  options.largest_layer = count(given, "largest-layer-params");
  const bool named = !options.model.empty() || !options.hf.empty();
  if (!named && !options.parameters) fail_estimate("give --model NAME, --hf PATH of a config.json, or --params P");
  if (named && options.largest_layer) fail_estimate("--largest-layer-params belongs to --params: a model's layers are known");
  if (options.largest_layer > options.parameters) fail_estimate("--largest-layer-params is {}, more than the {} of --params", options.largest_layer, options.parameters);
}

void read_ranks(const po::variables_map& given, EstimateOptions& options) {
  const auto ranks = integer(given, "ranks", 1, kMostRanks), gpus = integer(given, "gpus-per-node", 1, kMostRanks), nodes = integer(given, "nodes", 1, kMostRanks);
  if (ranks && (gpus || nodes)) fail_estimate("give --ranks, or --gpus-per-node and --nodes, not both");
  if (gpus.value_or(1) * nodes.value_or(1) > kMostRanks) fail_estimate("--gpus-per-node {} on --nodes {} are more than {}", *gpus, *nodes, kMostRanks);
  options.gpus_per_node = static_cast<int>(ranks.value_or(gpus.value_or(1)));
  options.nodes = static_cast<int>(nodes.value_or(1));
}

void check_compat(const po::variables_map& given, const EstimateOptions& options) {
  using Compat = EstimateOptions::Compat;
  const bool named = !options.model.empty() || !options.hf.empty();
  if (given.count("stage") != 0 && options.compat != Compat::deepspeed) fail_estimate("--stage belongs to --compat deepspeed; the other tables have every stage");
  if (options.compat == Compat::deepspeed) {
    if (named && options.parameters) fail_estimate("--compat deepspeed counts the parameters of a model itself; give --params without one");
    if (!named && options.stage == 3 && !options.largest_layer) fail_estimate("--compat deepspeed at stage 3 needs --largest-layer-params beside --params");
  } else {
    if (options.largest_layer) fail_estimate("--largest-layer-params belongs to --compat deepspeed");
    if (options.compat == Compat::formulas && !named) fail_estimate("--compat formulas needs --model or --hf: activations depend on its shape");
    if (options.compat == Compat::none && named && options.parameters) fail_estimate("give --params without a model, or with --compat formulas");
  }
}

}  // namespace

std::optional<EstimateOptions> parse_estimate(int argc, const char* const* argv) {
  const auto given = parse(argc, argv);
  if (given["help"].as<bool>()) return std::nullopt;
  using Dtype = Settings::ParamDtype;
  using Reduce = Settings::ReduceDtype;
  using Compat = EstimateOptions::Compat;
  EstimateOptions options;
  read_model(given, options);
  read_ranks(given, options);
  choose<Compat>(given, "compat", {{"deepspeed", Compat::deepspeed}, {"formulas", Compat::formulas}}, options.compat);
  options.stage = static_cast<int>(integer(given, "stage", 2, 3).value_or(options.stage));
  check_compat(given, options);
  choose<Dtype>(given, "precision", {{"bf16", Dtype::bf16}, {"fp16", Dtype::fp16}, {"fp32", Dtype::fp32}}, options.param_dtype);
  if (options.param_dtype == Dtype::fp32) options.reduce_dtype = Reduce::fp32;
  choose<Reduce>(given, "reduce-dtype", {{"bf16", Reduce::bf16}, {"fp32", Reduce::fp32}}, options.reduce_dtype);
  choose<Settings::Device>(given, "device", {{"cpu", Settings::Device::cpu}, {"cuda", Settings::Device::cuda}}, options.device);
  options.micro_batch = integer(given, "micro-batch", 1, kMostSamples).value_or(options.micro_batch);
  options.seq_len = integer(given, "seq-len", 1, kMostTokens);
  options.slots = static_cast<int>(integer(given, "slots", 1, kMostSlots).value_or(options.slots));
  options.bandwidth = bandwidth(given);
  choose<bool>(given, "unit", {{"GB", true}, {"GiB", false}}, options.decimal);
  options.json = given["json"].as<bool>();
  return options;
}

}  // namespace zerorun
