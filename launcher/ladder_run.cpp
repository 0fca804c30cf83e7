#include "launcher/ladder_run.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <ostream>

#include "launcher/ranks.h"
#include "comm/thread_communicator.h"
#include "core/data/random_batches.h"
#include "core/error.h"
#include "core/models/presets.h"
#include "core/nearest_name.h"
#include "core/threads.h"
#include "launcher/agreement.h"
#include "launcher/command_line.h"
#include "launcher/ladder_report.h"
#include "launcher/latency.h"
#include "launcher/machine.h"
#include "launcher/prediction.h"

namespace zerorun {
namespace {

using Clock = std::chrono::steady_clock;

// The document's training.
constexpr double kLearningRate = 3e-4, kDropout = 0.1, kMomentum = 0.9;
constexpr AdamWOptions kAdamW{.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1};
constexpr int64_t kToyParameters = 708'412'160, kToySeqLen = 11, kToyBatch = 128;
constexpr int kThreadRanks = 2;  // without mpirun

Gpt2Config toy_of(int64_t hidden_size, int64_t layers, int64_t heads, int64_t positions) {
  return {.vocab_size = 3,
          .hidden_size = hidden_size,
          .num_hidden_layers = layers,
          .num_attention_heads = heads,
          .max_position_embeddings = positions,
          .tie_word_embeddings = false};
}

Gpt2Config config_of(const LadderOptions& options) {
  auto config =
      options.hidden_size ? toy_of(*options.hidden_size, *options.layers, *options.heads, options.seq_len) : Gpt2Config();
  if (!options.hidden_size) {
    const auto preset = find_gpt2_preset(options.preset);
    if (!preset) {
      fail(ErrorKind::configuration, "unknown --preset {}{}; known: {}", options.preset,
           did_you_mean(options.preset, gpt2_preset_names()), fmt::join(gpt2_preset_names(), ", "));
    }
    config = *preset;
  }
  if (options.seq_len > config.max_position_embeddings) {
    fail(ErrorKind::configuration, "--seq-len {} exceeds the {} positions of {}", options.seq_len, config.max_position_embeddings,
         options.preset);
  }
  config.dropout = kDropout;
  return config;
}

std::unique_ptr<Optimizer> optimizer_of(const Rung& rung) {
  if (rung.update == Rung::Update::adamw) return make_adamw(kAdamW);
  return make_sgd({.momentum = rung.update == Rung::Update::momentum ? kMomentum : 0});
}

EngineOptions engine_options_of(const Rung& rung) {
  EngineOptions options;
  options.sharding = Sharding::of_stage(rung.stage, rung.accumulation);
  options.micro_batches = rung.accumulation;
  options.recompute = rung.recompute;
  if (rung.bf16) options.precision = {at::kBFloat16, at::kBFloat16};
  const SleepingPlace host{SleepingPlace::Device::host};
  if (rung.asleep != Rung::Asleep::nothing) options.offload.optimizer = host;
  if (rung.asleep == Rung::Asleep::all) options.offload.parameters = host;
  return options;
}

// One rung, on whatever ranks.
struct Trial {
  const Rung& rung;
  const Model& model;
  const Optimizer& optimizer;
  const RandomBatches& data;
  int64_t steps;
  int threads;
  Readers readers;
};

Prediction predict(const Trial& trial, int64_t seq_len) {
  DryRunOptions options;
  options.ranks = trial.rung.ranks;
  options.threads = trial.threads;
  options.readers = trial.readers;
  options.engine = engine_options_of(trial.rung);
  options.workload = {.micro_batch_size = trial.rung.micro_batch_size, .seq_len = seq_len, .steps = trial.steps};
  return dry_run(trial.model, trial.optimizer, options);
}

struct Measured {
  MemoryUsage usage;
  int64_t process_peak = 0;
  double seconds_per_step = 0;  // median, without the first step where there are more
  double last_loss = 0;
};

double median_of_warm(std::vector<double> seconds) {
  if (seconds.size() > 1) seconds.erase(seconds.begin());
  return percentile(std::move(seconds), 0.5);
}

// A rank's part. Collective over the rung's ranks.
Measured measure(const Trial& trial, Communicator& communicator) {
  set_compute_threads(trial.threads);
  Measured measured;
  MemoryLedger ledger;
  std::vector<double> seconds;
  {
    Engine engine(trial.model, communicator, trial.optimizer, ledger, engine_options_of(trial.rung));
    for (int64_t step = 0; step < trial.steps; ++step) {
      const auto start = Clock::now();
      const MemoryScope scope(ledger, Category::activations);
      const auto batches = micro_batches(trial.data, step, trial.rung.accumulation, trial.rung.micro_batch_size,
                                         communicator.rank(), communicator.size());
      measured.last_loss = engine.train_step(batches, kLearningRate).loss;
      seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    }
    measured.process_peak = process_anonymous_bytes() + shared_bytes();
  }
  measured.usage = ledger.usage();
  measured.seconds_per_step = median_of_warm(std::move(seconds));
  return measured;
}

// Who runs what: MPI's ranks, or threads.
class Ranks {
 public:
  explicit Ranks(MpiSession& session) : session_(session), mpi_(connect_ranks(session, Settings{})) {}

  int sharded() const { return session_.size() > 1 ? session_.size() : kThreadRanks; }
  bool speaks() const { return session_.rank() == 0; }
  bool over_mpi(const Rung& rung) const { return rung.ranks > 1 && session_.size() > 1; }
  // Of a rung's ranks, how many are on this host and how many of those in this process.
  int on_host(const Rung& rung) const { return over_mpi(rung) ? session_.local_size() : rung.ranks; }
  int in_process(const Rung& rung) const { return over_mpi(rung) ? 1 : rung.ranks; }

  Readers readers(const Rung& rung) const { return over_mpi(rung) ? mpi_->readers() : Readers::owner; }
  // All ranks, where one of them says so.
  bool any(bool own) {
    const auto all = gather(*mpi_, static_cast<int>(own));
    return std::ranges::any_of(all, [](int value) { return value != 0; });
  }

  // By rank of the rung; on rank 0 of the session at least.
  std::vector<Measured> run(const Trial& trial) {
    std::vector<Measured> all(trial.rung.ranks);
    if (over_mpi(trial.rung)) {
      all = gather(*mpi_, measure(trial, *mpi_));
    } else if (speaks()) {
      run_ranks(trial.rung.ranks, [&](Communicator& rank) { all[rank.rank()] = measure(trial, rank); });
      const auto peak = std::ranges::max(all, {}, &Measured::process_peak).process_peak;  // the last to look sees the others gone
      for (auto& rank : all) rank.process_peak = peak;
    }
    any(false);  // the others wait
    return all;
  }

 private:
  MpiSession& session_;
  const std::shared_ptr<Communicator> mpi_;
};

RungResult run_rung(const Rung& rung, const Model& model, const RandomBatches& data, const LadderOptions& options, Ranks& ranks) {
  const auto optimizer = optimizer_of(rung);
  const Trial trial{rung, model, *optimizer, data, options.steps, std::max(1, usable_cores() / ranks.on_host(rung)), ranks.readers(rung)};
  RungResult result{.rung = rung, .memory = {}, .threads = trial.threads, .process_ranks = ranks.in_process(rung), .not_run = ""};
  const auto prediction = predict(trial, options.seq_len);
  result.memory = predicted_memory(prediction, model, {Baseline{process_anonymous_bytes(), {}}}).front();
  result.memory.process_peak.predicted += (result.process_ranks - 1) * (result.memory.total.predicted + result.memory.arena.predicted);
  result.not_run = lack_of_memory(result.memory, ranks.on_host(rung) / result.process_ranks);
  if (ranks.any(!result.not_run.empty())) {
    if (result.not_run.empty()) result.not_run = "another host has too little memory";
    return result;
  }
  const auto all = ranks.run(trial);
  const auto worst = std::ranges::max_element(all, {}, [](const Measured& rank) { return rank.usage.total_peak; });
  result.memory.rank = static_cast<int>(worst - all.begin());
  fill_measured(result.memory, worst->usage, unscoped_usage(), worst->process_peak);
  result.seconds_per_step = worst->seconds_per_step;
  result.last_loss = worst->last_loss;
  return result;
}

}  // namespace

void run_ladder(const LadderOptions& options, MpiSession& session, std::ostream& out) {
  const auto config = config_of(options);
  Ranks ranks(session);
  const auto rungs = ladder_rungs(options, ranks.sharded());
  const Model model = make_gpt2(config);
  Ladder ladder{.version = version(), .options = options, .parameters = model.parameter_count(), .is_toy = false, .results = {}};
  ladder.is_toy = ladder.parameters == kToyParameters && options.seq_len == kToySeqLen && options.batch == kToyBatch;
  const bool prints_rows = ranks.speaks() && !options.json;
  if (prints_rows) out << ladder_heading(ladder) << std::flush;
  for (const auto& rung : rungs) {
    const RandomBatches data(
        {.seed = 42, .vocabulary = config.vocab_size, .seq_len = options.seq_len, .global_batch_size = rung.samples()});
    ladder.results.push_back(run_rung(rung, model, data, options, ranks));
    if (prints_rows) out << ladder_row(ladder, ladder.results.back()) << std::flush;
  }
  if (prints_rows) out << ladder_legend(ladder);
  if (ranks.speaks() && options.json) out << ladder_json(ladder) << '\n';
}

}  // namespace zerorun
