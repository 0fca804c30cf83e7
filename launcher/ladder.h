// The ladder: one training of a GPT-2, made cheaper rung by rung. Here are its rungs as data; ladder_run.h runs them,
// ladder_report.h prints them.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace zerorun {

// What `zerorun bench ladder` is asked for.
struct LadderOptions {
  std::string preset = "mingpt-gpt2-large-sort";  // of core/models/presets.h; of no effect where sizes are given
  // All or none: the same toy, three symbols and an untied head, in another size.
  std::optional<int64_t> hidden_size, layers, heads;
  int64_t seq_len = 11;
  int64_t batch = 128;  // samples of a step, at once or in parts
  int64_t steps = 3;
  std::vector<std::string> rows;  // names of rungs; empty: all
  bool json = false;
};

// `bench ladder` and its options, after the program's name. Throws Error(usage), one line with the hint to --help.
LadderOptions parse_ladder_options(int argc, const char* const* argv);

// What is published for a rung of the toy: 708,412,160 parameters, 11 tokens, 128 samples.
struct Published {
  std::optional<int64_t> target_mib;    // for the states, rounded; where something sleeps for all that a rank holds
  std::optional<int64_t> document_mib;  // measured on an A40, with its context and cached blocks
};

struct Rung {
  enum class Update { adamw, momentum, sgd };
  enum class Asleep { nothing, optimizer, all };  // in host memory: the optimizer and summed gradients; parameters too

  std::string name;  // for --rows
  std::string label;
  int64_t micro_batch_size = 0;
  int accumulation = 1;
  bool recompute = false;
  Update update = Update::adamw;
  bool bf16 = false;
  int ranks = 1;
  int stage = 0;
  Published toy = {};
  Asleep asleep = Asleep::nothing;

  int64_t samples() const { return micro_batch_size * accumulation * ranks; }  // of a step
};

const char* name_of(Rung::Update update);

const char* name_of(Rung::Asleep asleep);

// Bytes of parameters, gradients and optimizer states per parameter, over all ranks, on devices: what sleeps is not in it.
int state_bytes_per_parameter(const Rung& rung);

// The rungs that options.rows names, or all, in the order of the ladder; sharded ones over `ranks`. Every rung but the two
// smaller batches trains on the same samples. Throws Error(usage) for a name that is none, and for a batch that does not divide.
// REQUIRES ranks >= 2.
std::vector<Rung> ladder_rungs(const LadderOptions& options, int ranks);

}  // namespace zerorun
