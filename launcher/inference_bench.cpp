#include "launcher/inference_bench.h"

#include <algorithm>
#include <ostream>

#include "core/data/random_batches.h"
#include "core/random.h"
#include "core/threads.h"
#include "launcher/agreement.h"
#include "launcher/build.h"
#include "launcher/device.h"
#include "launcher/machine.h"
#include "launcher/measurement.h"
#include "launcher/prediction.h"
#include "launcher/pretrained.h"
#include "launcher/ranks.h"
#include "zero/generation.h"

namespace zerorun {
namespace {

EngineOptions inference_options(const Settings& settings, int ranks) {
  auto options = engine_options(settings, ranks);
  options.inference = true;
  return options;
}

int64_t positions_of(const Settings& settings) {
  return std::visit([](const auto& config) { return config.max_position_embeddings; }, model_config(settings));
}

// Each rank has read its own command line.
void agree(Communicator& communicator, const InferenceBenchOptions& options) {
  const auto words = fmt::format("{} {} {} {}", options.prompt_tokens.value_or(0), options.new_tokens, options.batch, options.requests);
  agree_on(communicator, stream_of(words), "was asked for other requests than rank 0: is the command line the same on every host?");
}

// What there is for this rank, what its process or GPU holds already included.
int64_t memory_of_rank(const RankDevice& device, const Baseline& baseline, int local_ranks) {
  if (device.gpu) return gpu::memory().total;
  const int64_t share = memory_at_hand().bytes / local_ranks;
  const auto of_process = memory_at_hand_of_process();
  return baseline.process + (of_process ? std::min(share, of_process->bytes) : share);
}

// Of the rank that has least. Collective.
CacheBudget least_budget(const InferenceBench& bench, int64_t own_memory, Communicator& communicator) {
  const auto memory = gather(communicator, own_memory);
  const int64_t bytes_per_token = bench.cache_bytes / (bench.options.batch * bench.positions());
  std::vector<CacheBudget> budgets;
  for (size_t rank = 0; rank < memory.size(); ++rank) budgets.push_back(cache_budget(bench.memory[rank], memory[rank], bench.cache_bytes, bytes_per_token));
  return *std::ranges::min_element(budgets, {}, &CacheBudget::bytes);
}

}  // namespace

void run_inference_bench(const InferenceBenchOptions& options, Settings settings, MpiSession& session, std::ostream& out) {
  const bool speaks = session.rank() == 0;
  const int64_t prompt_tokens = prompt_tokens_of(options, positions_of(settings));
  check_backend(settings);
  const auto ranks = connect_ranks(session, settings);
  agree(*ranks, settings);
  agree(*ranks, options);
  const auto device = start_device(settings, session, ranks);
  const int threads = device.threads;
  set_compute_threads(threads);
  settings.training.micro_batch_size = options.batch;
  settings.training.global_batch_size = options.batch * session.size();  // one micro-batch: the file's are of its training

  // plan
  const Model model = make_model(settings);
  const auto pretrained = open_pretrained(settings);
  const auto none = make_sgd({});
  const auto predict_with = [&](const Settings& other) {
    DryRunOptions dry;
    dry.device = device.side();
    dry.gpu = device.shape;
    dry.ranks = session.size();
    dry.threads = threads;
    dry.readers = device.communicator->readers();
    dry.engine = inference_options(other, session.size());
    dry.workload = {.micro_batch_size = options.batch, .seq_len = prompt_tokens, .steps = 0, .generations = options.requests + 1, .new_tokens = options.new_tokens};
    return dry_run(model, *none, dry);
  };
  const auto prediction = predict_with(settings);
  const auto baseline = device.baseline();
  InferenceBench bench{.settings = settings, .options = options, .prompt_tokens = prompt_tokens, .parameters = model.parameter_count(), .ranks = session.size(),
                       .threads = threads, .device = device.name(), .dtype = name_of(settings.precision.param_dtype),
                       .memory = predicted_memory(prediction, model, gather(*ranks, baseline)), .cache_bytes = 0, .budget = {}, .times = {}};
  const auto& own = bench.memory[session.rank()];
  refuse_if_over(settings, own, session.local_size(), peak_of(predict_with, model, own));
  const int64_t memory = options.memory.value_or(memory_of_rank(device, baseline, session.local_size()));
  gather(*ranks, 0);  // what a rank allocates next must not be missing from the host's memory when another looks

  // requests
  MemoryLedger ledger(device.side());
  auto engine_options = inference_options(settings, session.size());
  engine_options.initial = pretrained.get();
  engine_options.device = device.device;
  Engine engine(model, *device.communicator, *none, ledger, engine_options);
  const RandomBatches prompts({.seed = static_cast<uint64_t>(settings.run.seed), .vocabulary = vocabulary_of(settings), .seq_len = prompt_tokens, .global_batch_size = options.batch});
  for (int64_t request = 0; request <= options.requests; ++request) {
    const MemoryScope scope(ledger, batch_category(ledger));
    const auto prompt = prompts.train(request, 0, options.batch).tokens;
    const auto times = device.last_words->keep([&] { return generate(model, engine, *ranks, ledger, prompt, {.max_tokens = options.new_tokens}, [](std::span<const int64_t>) {}); });
    bench.cache_bytes = times.cache_bytes;
    if (request > 0) bench.times.add(times.prefill_seconds, times.decode_seconds);
  }

  // report
  measure(bench.memory, *ranks, ledger);
  bench.budget = least_budget(bench, memory, *ranks);
  if (!speaks) return;
  if (!options.json) {
    for (const auto& note : device.notes) out << "note: " << note << '\n';
    for (const auto& note : pretrained ? pretrained->warnings() : std::vector<std::string>{}) out << "note: " << note << '\n';
    for (const auto& note : engine.notes()) out << "note: " << note << '\n';
  }
  out << (options.json ? inference_bench_json(bench) : inference_bench_table(bench));
}

}  // namespace zerorun
