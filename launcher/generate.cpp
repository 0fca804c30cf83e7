#include "launcher/generate.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <filesystem>
#include <iostream>

#include "launcher/ranks.h"
#include "core/error.h"
#include "core/random.h"
#include "core/threads.h"
#include "core/weights/hf_folder.h"
#include "launcher/agreement.h"
#include "launcher/build.h"
#include "launcher/device.h"
#include "launcher/generation_report.h"
#include "launcher/progress.h"
#include "zero/generation.h"

namespace zerorun {
namespace {

constexpr int64_t kBytes = 256;

struct Sizes {
  int64_t vocabulary, context;
};

Sizes sizes_of(const ModelConfig& config) {
  return std::visit([](const auto& model) { return Sizes{model.vocab_size, model.max_position_embeddings}; }, config);
}

// A run folder has its weights in hf/.
std::string weights_folder(const std::string& given) {
  const auto holds_model = [](const std::string& folder) {
    std::error_code ignored;
    return std::filesystem::exists(folder + "/config.json", ignored);
  };
  return !holds_model(given) && holds_model(given + "/hf") ? given + "/hf" : given;
}

// Standard input is rank 0's. At most one byte more than the context: that it is too long is all that is then asked.
std::string read_standard_input(Communicator& communicator, int64_t context) {
  std::string text;
  if (communicator.rank() == 0) {
    text.resize(static_cast<size_t>(context + 1));
    std::cin.read(text.data(), std::ssize(text));
    text.resize(static_cast<size_t>(std::cin.gcount()));
  }
  const int64_t own = std::ssize(text);
  const auto sizes = gather(communicator, own);
  text.resize(static_cast<size_t>(sizes[0]));
  std::string all(text.size() * sizes.size(), '\0');
  if (!text.empty()) communicator.exchange(text.data(), all.data(), std::ssize(text));
  return all.substr(0, text.size());
}

std::vector<int64_t> read_prompt(const GenerateCommand& command, const std::string& folder, Sizes sizes, Communicator& communicator) {
  std::vector<int64_t> tokens = command.tokens;
  if (command.prompt) {
    if (sizes.vocabulary != kBytes) {
      fail(ErrorKind::usage, "--prompt: the model of {} has a vocabulary of {} tokens, not of bytes; give their ids with --tokens 1,2,3", folder, sizes.vocabulary);
    }
    const auto text = *command.prompt == "-" ? read_standard_input(communicator, sizes.context) : *command.prompt;
    for (const char c : text) tokens.push_back(static_cast<unsigned char>(c));
  }
  if (tokens.empty()) fail(ErrorKind::bad_data, "the prompt is empty; there is nothing to go on from");
  for (const int64_t token : tokens) {
    if (token >= sizes.vocabulary) fail(ErrorKind::bad_data, "the token {} is outside the vocabulary of {} tokens of {}", token, sizes.vocabulary, folder);
  }
  if (std::ssize(tokens) >= sizes.context) {
    fail(ErrorKind::bad_data, "the prompt {} the context of {}: max_position_embeddings is {}, expected a prompt of at most {} tokens",
         std::ssize(tokens) == sizes.context ? "fills" : "is longer than", folder, sizes.context, sizes.context - 1);
  }
  return tokens;
}

// Each rank has read its own command line and config.json.
void agree(Communicator& communicator, const GenerateCommand& command, const ModelConfig& config, const std::vector<int64_t>& prompt) {
  agree_on_build(communicator, this_build());
  const auto& s = command.sampling;
  auto words = fmt::format("{} {} {} {} {} {} {} {}", hf_config_json(config), command.max_tokens, s.temperature, s.top_k, s.top_p, s.seed,
                           static_cast<int>(command.param_dtype), command.cached) +
               fmt::format(" {}", static_cast<int>(command.offload));
  for (const int64_t token : prompt) words += fmt::format(" {}", token);
  agree_on(communicator, stream_of(words), "was asked for something else than rank 0: are the command line and the folder the same on every host?");
}

// What is generated, as it comes: bytes, or ids on one line.
class Printer {
 public:
  Printer(std::ostream& out, bool bytes) : out_(out), bytes_(bytes), guards_terminal_(bytes && output_is_terminal()) {}

  void token(int64_t token) {
    if (bytes_) {
      out_ << shown(static_cast<char>(token));
    } else {
      out_ << (std::exchange(first_, false) ? "" : " ") << token;
    }
    out_.flush();
  }
  void finish() { out_ << std::endl; }

 private:
  // A terminal takes control characters for commands.
  char shown(char c) const {
    const auto byte = static_cast<unsigned char>(c);
    return guards_terminal_ && ((byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f) ? '?' : c;
  }

  std::ostream& out_;
  bool bytes_, guards_terminal_, first_ = true;
};

}  // namespace

void generate(const GenerateCommand& command, MpiSession& session, std::ostream& out, std::ostream& notes) {
  const bool speaks = session.rank() == 0;
  const auto ranks = connect_ranks(session, Settings{});
  auto& communicator = *ranks;
  const auto device = start_device({}, session, ranks);
  const int threads = device.threads;
  set_compute_threads(threads);

  // model and prompt
  const auto folder = weights_folder(command.hf);
  const HfFolder weights(folder);
  const Sizes sizes = sizes_of(weights.config());
  const auto prompt = read_prompt(command, folder, sizes, communicator);
  agree(communicator, command, weights.config(), prompt);
  const Model model = make_model(weights.config());
  for (const auto& note : speaks ? weights.warnings() : std::vector<std::string>{}) notes << "note: " << note << std::endl;

  // units: declared, sharded, each slice filled where it lives
  MemoryLedger ledger(device.side());
  EngineOptions options;
  options.device = device.device;
  Settings::ZeroOptimization zero;
  zero.offload_param.device = command.offload;
  zero.offload_param.path = command.offload_path;
  options.offload = offload_options(zero);
  options.sharding = Sharding::of_stage(3);
  options.precision.parameters = dtype_of(command.param_dtype);
  options.initial = &weights;
  options.inference = true;
  const auto optimizer = make_sgd({});
  Engine engine(model, *device.communicator, *optimizer, ledger, options);
  for (const auto& note : speaks ? engine.notes() : std::vector<std::string>()) notes << "note: " << note << std::endl;

  // tokens
  const int64_t room = sizes.context - std::ssize(prompt);
  GenerationReport report{.ranks = session.size(), .prompt = prompt, .tokens = {}, .context_full = command.max_tokens > room, .decode_seconds = {}};
  Printer printer(out, command.prompt.has_value());
  const bool streams = speaks && !command.json;
  const MemoryScope scope(ledger, batch_category(ledger));
  const auto tokens = at::empty({1, std::ssize(prompt)}, at::kLong);
  std::ranges::copy(prompt, tokens.data_ptr<int64_t>());
  const GenerationOptions generation{.max_tokens = std::min(command.max_tokens, room), .sampling = command.sampling, .cached = command.cached};
  const auto times = device.last_words->keep([&] {
    return generate(model, engine, communicator, ledger, tokens, generation, [&](std::span<const int64_t> drawn) {
      report.tokens.push_back(drawn[0]);
      if (streams) printer.token(drawn[0]);
    });
  });

  // report
  report.cache_bytes = times.cache_bytes;
  report.prefill_seconds = times.prefill_seconds;
  report.decode_seconds = times.decode_seconds;
  if (speaks && command.json) out << generation_json(report) << std::endl;
  if (streams) printer.finish();
  if (speaks && report.context_full) {
    notes << fmt::format("note: the context of {} tokens is full after {} of {} tokens (max_position_embeddings of {})", sizes.context, room,
                         command.max_tokens, folder)
          << std::endl;
  }
}

}  // namespace zerorun
