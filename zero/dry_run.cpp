#include "zero/dry_run.h"

#include <ATen/ops/empty.h>

#include <optional>
#include <regex>

#include "comm/simulated_communicator.h"
#include "core/error.h"
#include "core/threads.h"
#include "zero/evaluation.h"
#include "zero/generation.h"

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

// What a rank has sent and done of a step up to some moment of it.
struct Done {
  Traffic traffic;
  StepWork work;
};

// Where there is a timeline, it hears what the engine does.
class NarratingCommunicator final : public SimulatedCommunicator {
 public:
  NarratingCommunicator(const DryRunOptions& options, std::optional<TimelineRecorder>& recorder)
      : SimulatedCommunicator(options.rank, options.ranks, options.readers, options.gpu.slab_bytes), recorder_(recorder) {}
  void tell(const Activity& activity) override {
    if (recorder_) recorder_->enter(activity.text());
  }

 private:
  std::optional<TimelineRecorder>& recorder_;
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
  std::optional<TimelineRecorder> recorder;
  if (options.timeline) ledger.set_listener(&recorder.emplace(*options.timeline, options.engine.micro_batches));
  NarratingCommunicator simulated(options, recorder);
  CountingCommunicator communicator(simulated);
  EngineOptions engine_options = options.engine;
  engine_options.device = at::kMeta;
  engine_options.sent = [&] { return communicator.traffic().bytes_moved(options.readers); };
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
  // Between the first micro-batch of a step and the last all are alike: of the first step one of them is computed, and then none.
  const int64_t last = options.engine.micro_batches - 1;
  Done before, alike;
  int64_t between = 1;
  engine.choose_micro_batches([&](int64_t m) {
    if (m == 1) before = {communicator.traffic(), engine.last_step()};
    if (m == 2 && between == 1) alike = {communicator.traffic() + before.traffic * -1, difference(engine.last_step(), before.work)};
    return m == 0 || m == last || m <= between;
  });
  Traffic of_step;
  if (workload.steps > 0) {
    of_step = traffic_of([&] {
      train_step();
      engine.flush();  // every step's updates are published once, whenever that is
    });
    of_step += alike.traffic * std::max<int64_t>(last - 2, 0);
    prediction.traffic += of_step * workload.steps;
    prediction.step = engine.last_step();
  }
  if (recorder) recorder->begin_evaluation();
  if (workload.evaluations > 0) {
    prediction.traffic += traffic_of([&] { evaluate_split(engine, communicator, source, workload.micro_batch_size, 1, ledger); }) *
                          workload.evaluations * workload.batches_per_evaluation;
  }
  if (workload.generations > 0) {
    prediction.traffic += traffic_of([&] {
      const MemoryScope scope(ledger, batch_category(ledger));
      const auto prompt = source.train(0, 0, workload.micro_batch_size).tokens;
      generate(model, engine, communicator, ledger, prompt, {.max_tokens = workload.new_tokens}, [](std::span<const int64_t>) {});
    }) * workload.generations;
  }
  prediction.memory = ledger.usage();
  ledger.set_listener(nullptr);
  recorder.reset();
  prediction.padding = engine.padding();
  if (workload.reads_parameters) engine.for_each_parameter([](const Parameter&, const at::Tensor&) {});
  const auto to_the_end = ledger.usage();
  prediction.peak_to_the_end = to_the_end.total_peak + to_the_end.arena_overhead;
  prediction.gpu_reserved_to_the_end = to_the_end.gpu_reserved;
  prediction.host_to_the_end = to_the_end.peak_of(Category::host);
  if (workload.steps > 0 && options.engine.offload.any()) {  // an update may be part of the step after its own: they are alike from the third on
    between = 0;
    for (int again = 0; again < 2; ++again) train_step();
    prediction.step = engine.last_step();
  }
  if (workload.steps == 0) prediction.step = engine.last_step();
  if (last > 1) prediction.step = sum(prediction.step, alike.work, last - 1 - between);
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
