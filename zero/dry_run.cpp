#include "zero/dry_run.h"

#include <ATen/ops/empty.h>

#include <regex>

#include "comm/simulated_communicator.h"
#include "core/error.h"
#include "core/threads.h"
#include "zero/evaluation.h"

namespace zerorun {
namespace {

// Batches of the right shape, without tokens.
class ShapesOfBatches final : public BatchSource {
 public:
  explicit ShapesOfBatches(int64_t seq_len) : seq_len_(seq_len) {}

  Batch train(int64_t, int64_t first, int64_t count) const override { return make(first, count); }
  int64_t validation_windows() const override { return 1; }
  Batch validation(int64_t first, int64_t count) const override { return make(first, count); }

 private:
  Batch make(int64_t first, int64_t count) const {
    const auto options = at::TensorOptions().dtype(at::kLong).device(at::kMeta);
    return {at::empty({count, seq_len_}, options), at::empty({count, seq_len_}, options), first};
  }

  int64_t seq_len_;
};

// Runs body() with another number of compute threads.
template <typename Body>
void with_threads(int threads, Body&& body) {
  const struct Restore {
    int threads = compute_threads();
    ~Restore() { set_compute_threads(threads); }
  } restore;
  set_compute_threads(threads);
  body();
}

Prediction run(const Model& model, const Optimizer& optimizer, const DryRunOptions& options) {
  const auto& workload = options.workload;
  const gpu::Foretell foretell(options.gpu);
  MemoryLedger ledger(options.device);
  SimulatedCommunicator simulated(options.rank, options.ranks, options.readers, options.gpu.slab_bytes);
  CountingCommunicator communicator(simulated);
  EngineOptions engine_options = options.engine;
  engine_options.device = at::kMeta;
  Engine engine(model, communicator, optimizer, ledger, engine_options);
  const ShapesOfBatches source(workload.seq_len);

  Prediction prediction;
  prediction.ranks = options.ranks;
  const auto traffic_of = [&](auto&& body) {
    Traffic traffic = communicator.traffic() * -1;
    body();
    return traffic += communicator.traffic();
  };
  const auto train_step = [&] {
    const MemoryScope scope(ledger, batch_category(ledger));
    const auto batches = micro_batches(source, 0, options.engine.micro_batches, workload.micro_batch_size, options.rank, options.ranks);
    engine.train_step(batches, 0);
  };
  if (workload.steps > 0) {
    prediction.traffic += traffic_of([&] {
      train_step();
      engine.flush();  // every step's updates are published once, whenever that is
    }) * workload.steps;
  }
  if (workload.evaluations > 0) {
    prediction.traffic += traffic_of([&] { evaluate_split(engine, communicator, source, workload.micro_batch_size, 1, ledger); }) *
                          workload.evaluations * workload.batches_per_evaluation;
  }
  prediction.memory = ledger.usage();
  prediction.padding = engine.padding();
  if (workload.reads_parameters) engine.for_each_parameter([](const Parameter&, const at::Tensor&) {});
  const auto to_the_end = ledger.usage();
  prediction.peak_to_the_end = to_the_end.total_peak + to_the_end.arena_overhead;
  prediction.gpu_reserved_to_the_end = to_the_end.gpu_reserved;
  prediction.host_to_the_end = to_the_end.peak_of(Category::host);
  for (int again = 0; workload.steps > 0 && again < 2; ++again) train_step();  // of which nothing else is counted; an update may be part of the next step
  prediction.step = engine.last_step();
  return prediction;
}

// LibTorch: "Could not run 'aten::foo' with arguments from the 'Meta' backend" and many lines more.
[[noreturn]] void explain(const c10::NotImplementedError& error) {
  std::smatch match;
  const std::string text = error.what_without_backtrace();
  const std::regex operation("'?(aten::[a-z0-9_.]+)'?");
  const std::string name = std::regex_search(text, match, operation) ? match[1].str() : "an operation";
  fail(ErrorKind::configuration, "the memory of this model cannot be predicted: {} does not run without data ({})", name,
       text.substr(0, text.find('\n')));
}

}  // namespace

Prediction dry_run(const Model& model, const Optimizer& optimizer, const DryRunOptions& options) {
  Prediction prediction;
  try {
    with_threads(options.threads, [&] { prediction = run(model, optimizer, options); });
  } catch (const c10::NotImplementedError& error) {
    explain(error);
  }
  return prediction;
}

}  // namespace zerorun
