#include "launcher/generate_command.h"

#include <string_view>

#include "launcher/settings_values.h"
#include "launcher/usage.h"

namespace zerorun {
namespace {

namespace po = boost::program_options;

constexpr int64_t kMostTokens = 1'000'000'000;

template <typename... Values>
[[noreturn]] void fail_generate(fmt::format_string<Values...> format, Values&&... values) {
  fail_usage("generate: {}", fmt::format(format, std::forward<Values>(values)...));
}

po::variables_map parse(int argc, const char* const* argv) {
  po::options_description options;
  const auto text = [] { return po::value<std::string>(); };
  options.add_options()("help,h", po::bool_switch())("json", po::bool_switch())("no-cache", po::bool_switch())("hf", text())("prompt", text())(
      "tokens", text())("param-dtype", text())("offload", text())("offload-path", text())("max-tokens", text())("top-k", text())("seed", text())("temperature", text())("top-p", text());
  return parse_options(argc, argv, options, {}, "generate: ");
}

template <typename Number>
void read(const po::variables_map& given, const char* name, const char* expected, Number& value) {
  if (given.count(name) == 0) return;
  const auto& text = given[name].as<std::string>();
  const auto found = parse_number<Number>(text);
  if (!found) fail_generate("--{} is '{}', expected {}", name, text, expected);
  value = *found;
}

std::vector<int64_t> parse_tokens(std::string_view text) {
  std::vector<int64_t> tokens;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const auto word = text.substr(begin, end - begin);
    const auto token = parse_number<int64_t>(word);
    if (!token || *token < 0) fail_generate("--tokens: '{}' is no token id, expected numbers such as 1,2,3", word);
    tokens.push_back(*token);
    begin = end + 1;
  }
  return tokens;
}

void read_prompt(const po::variables_map& given, GenerateCommand& command) {
  const bool has_text = given.count("prompt") != 0, has_tokens = given.count("tokens") != 0;
  if (has_text == has_tokens) fail_generate("give --prompt TEXT or --tokens 1,2,3{}", has_text ? ", not both" : "");
  const auto& words = given[has_text ? "prompt" : "tokens"].as<std::string>();
  if (words.empty()) fail_generate("the prompt is empty; there is nothing to go on from");
  if (has_text) {
    command.prompt = words;
  } else {
    command.tokens = parse_tokens(words);
  }
}

void read_dtype(const po::variables_map& given, GenerateCommand& command) {
  if (given.count("param-dtype") == 0) return;
  const Choice<Settings::ParamDtype> dtypes{{"fp32", "bf16", "fp16"}};
  const auto& word = given["param-dtype"].as<std::string>();
  const auto dtype = dtypes.read(word);
  if (!dtype) fail_generate("--param-dtype is '{}', expected {}", word, dtypes.expected());
  command.param_dtype = *dtype;
}

void read_offload(const po::variables_map& given, GenerateCommand& command) {
  if (given.count("offload-path") != 0) command.offload_path = given["offload-path"].as<std::string>();
  if (given.count("offload") == 0) return;
  const auto& word = given["offload"].as<std::string>();
  if (word != "cpu" && word != "nvme") fail_generate("--offload is '{}', expected cpu or nvme", word);
  command.offload = word == "cpu" ? Settings::OffloadDevice::cpu : Settings::OffloadDevice::nvme;
  if (word == "nvme" && command.offload_path.empty()) fail_generate("--offload nvme needs --offload-path FOLDER, on the disk to use");
}

}  // namespace

std::optional<GenerateCommand> parse_generate(int argc, const char* const* argv) {
  const auto given = parse(argc, argv);
  if (given["help"].as<bool>()) return std::nullopt;
  GenerateCommand command;
  if (given.count("hf") == 0) fail_generate("--hf DIR is missing: the folder with config.json and model.safetensors, such as runs/NAME/hf");
  command.hf = given["hf"].as<std::string>();
  read_prompt(given, command);
  read(given, "max-tokens", "a whole number", command.max_tokens);
  if (command.max_tokens < 1 || command.max_tokens > kMostTokens) fail_generate("--max-tokens is {}, expected 1 to {}", command.max_tokens, kMostTokens);
  auto& sampling = command.sampling;
  read(given, "temperature", "a number", sampling.temperature);
  read(given, "top-k", "a whole number", sampling.top_k);
  read(given, "top-p", "a number", sampling.top_p);
  read(given, "seed", "a whole number from 0", sampling.seed);
  try {
    sampling.validate();
  } catch (const Error& error) {
    fail_generate("{}", error.what());
  }
  read_dtype(given, command);
  read_offload(given, command);
  command.cached = !given["no-cache"].as<bool>();
  command.json = given["json"].as<bool>();
  return command;
}

}  // namespace zerorun
