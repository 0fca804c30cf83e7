#include "launcher/evaluate.h"

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <ostream>

#include "launcher/ranks.h"
#include "core/error.h"
#include "core/threads.h"
#include "launcher/agreement.h"
#include "launcher/build.h"
#include "launcher/device.h"
#include "launcher/machine.h"
#include "launcher/prediction.h"
#include "launcher/pretrained.h"
#include "zero/evaluation.h"

namespace zerorun {
namespace {

using Clock = std::chrono::steady_clock;

struct Evaluation {
  LossSum total;
  double seconds = 0;
  ComparedBytes memory;  // of rank 0
  int ranks = 1;

  double loss() const { return total.sum / static_cast<double>(total.tokens); }
};

void check_split(const Settings& settings) {
  if (!std::holds_alternative<std::monostate>(settings.data.validation)) return;
  fail(ErrorKind::configuration,
       "there is no validation split to evaluate: set data.validation to files or to a fraction of data.train, such as --set "
       "data.validation=0.1");
}

EngineOptions inference_options(const Settings& settings, int ranks) {
  auto options = engine_options(settings, ranks);
  options.inference = true;
  return options;
}

Prediction predict_evaluation(const Settings& settings, const Model& model, const Optimizer& none, const Communicator& communicator, int threads, const RankDevice& device) {
  DryRunOptions options;
  options.device = device.side();
  options.gpu = device.shape;
  options.ranks = communicator.size();
  options.threads = threads;
  options.readers = communicator.readers();
  options.engine = inference_options(settings, communicator.size());
  options.workload = {settings.training.micro_batch_size, settings.training.seq_len, /*steps=*/0, /*evaluations=*/1, 1};
  return dry_run(model, none, options);
}

std::string line_of(const Settings& settings, const Evaluation& result) {
  const auto weights =
      settings.model.hf_path ? "weights of " + *settings.model.hf_path : "fresh weights, since model.hf_path is not set";
  return fmt::format("loss {:.6f}, perplexity {:.4f}, {} tokens, {:.2f} s ({})", result.loss(), std::exp(result.loss()),
                     result.total.tokens, result.seconds, weights);
}

std::string json_of(const Settings& settings, const Evaluation& result) {
  using Json = nlohmann::ordered_json;
  const Json json = {{"loss", result.loss()},
                     {"perplexity", std::exp(result.loss())},
                     {"tokens", result.total.tokens},
                     {"seconds", result.seconds},
                     {"weights", settings.model.hf_path ? Json(*settings.model.hf_path) : Json(nullptr)},
                     {"ranks", result.ranks},
                     {"memory", {{"predicted", result.memory.predicted}, {"measured", result.memory.measured}}}};
  return json.dump(2);
}

}  // namespace

void evaluate(Settings settings, bool json, MpiSession& session, std::ostream& out) {
  check_split(settings);
  check_backend(settings);
  const auto ranks = connect_ranks(session, settings);
  auto& communicator = *ranks;
  agree(communicator, settings);
  const auto device = start_device(settings, session, ranks);
  const int threads = device.threads;
  set_compute_threads(threads);
  settings.training.global_batch_size = settings.training.micro_batch_size * session.size();  // any number of ranks will do

  const Model model = make_model(settings);
  const CorpusBatches data = open_data(settings);
  agree(communicator, data);
  const auto pretrained = open_pretrained(settings);
  const auto none = make_sgd({});
  const auto predict_with = [&](const Settings& other) { return predict_evaluation(other, model, *none, *device.communicator, threads, device); };
  const auto prediction = predict_with(settings);
  const auto memory = predicted_memory(prediction, model, gather(communicator, device.baseline()));
  const auto& own = memory[session.rank()];
  refuse_if_over(settings, own, session.local_size(), peak_of(predict_with, model, own));

  auto options = inference_options(settings, session.size());
  options.initial = pretrained.get();
  options.device = device.device;
  MemoryLedger ledger(device.side());
  Engine engine(model, *device.communicator, *none, ledger, options);
  const auto start = Clock::now();
  Evaluation result;
  result.total = device.last_words->keep([&] { return sum_over_split(engine, communicator, data, settings.training.micro_batch_size, /*batches=*/0, ledger); });
  result.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  result.memory = {prediction.memory.total_peak, ledger.usage().total_peak};
  result.ranks = session.size();
  if (session.rank() == 0) out << (json ? json_of(settings, result) : line_of(settings, result)) << '\n';
}

}  // namespace zerorun
