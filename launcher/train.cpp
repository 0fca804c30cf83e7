#include "launcher/train.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <ostream>

#include "comm/counting_communicator.h"
#include "core/error.h"
#include "core/threads.h"
#include "launcher/agreement.h"
#include "launcher/build.h"
#include "launcher/command_line.h"
#include "launcher/device.h"
#include "launcher/dtype_speed.h"
#include "launcher/hf_export.h"
#include "launcher/latency.h"
#include "launcher/lr_schedule.h"
#include "launcher/machine.h"
#include "launcher/measurement.h"
#include "launcher/pretrained.h"
#include "launcher/prediction.h"
#include "launcher/ranks.h"
#include "launcher/progress.h"
#include "launcher/report.h"
#include "launcher/run_folder.h"
#include "launcher/step_trace.h"
#include "zero/evaluation.h"

namespace zerorun {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// The largest value over ranks, so that all stop at the same step.
int agree_to_stop(Communicator& communicator, int own) {
  const auto all = gather(communicator, own);
  return *std::max_element(all.begin(), all.end());
}

// What the run is on the way to the report.
struct Run {
  const Settings& settings;
  Communicator& communicator;
  Engine& engine;
  const BatchSource& data;
  MemoryLedger& ledger;
  int micro_batches;
};

// A dtype for which this machine has no instructions saves memory and costs time.
void warn_if_slow(const Precision& precision, std::ostream& out) {
  if (precision.parameters == at::kFloat) return;
  const double slowdown = slowdown_of(precision.parameters);
  const bool bf16 = precision.parameters == at::kBFloat16;
  if (slowdown > 1) {
    out << fmt::format("warning: this machine computes {} {:.1f} times slower than fp32 (precision.param_dtype)\n\n", bf16 ? "bf16" : "fp16", slowdown);
  }
}

bool validates_after(const Run& run, int64_t step) {
  const auto& training = run.settings.training;
  if (run.data.validation_windows() == 0) return false;
  return step == training.steps || (training.eval_interval > 0 && step % training.eval_interval == 0);
}

StepMetrics run_step(const Run& run, int64_t step) {
  const auto start = Clock::now();
  const auto& training = run.settings.training;
  StepResult result;
  const double lr = learning_rate(run.settings, step);
  {
    const MemoryScope scope(run.ledger, batch_category(run.ledger));
    const auto batches =
        micro_batches(run.data, step, run.micro_batches, training.micro_batch_size, run.communicator.rank(), run.communicator.size());
    result = run.engine.train_step(batches, lr);
  }
  StepMetrics metrics{.step = step + 1,
                      .loss = result.loss,
                      .lr = lr,
                      .grad_norm = result.gradient_norm,
                      .tokens = result.tokens,
                      .seconds = seconds_since(start),
                      .skipped = result.skipped};
  if (run.settings.precision.param_dtype == Settings::ParamDtype::fp16) metrics.loss_scale = result.loss_scale;
  if (validates_after(run, step + 1)) {
    metrics.validation_loss =
        evaluate_split(run.engine, run.communicator, run.data, training.micro_batch_size, training.eval_batches, run.ledger);
  }
  return metrics;
}

void measure(Communication& communication, const Traffic& traffic) {
  const auto fill = [](CollectiveTraffic& line, const Traffic::Line& measured) {
    line.calls = measured.calls;
    line.bytes_sent = measured.bytes_sent;
    line.seconds = measured.seconds;
  };
  fill(communication.all_gather, traffic.all_gather);
  fill(communication.reduce_scatter, traffic.reduce_scatter);
  fill(communication.all_reduce, traffic.all_reduce);
  fill(communication.control, traffic.control);
}

}  // namespace

int train(const Settings& settings, MpiSession& session, const StopSignals& signals, std::ostream& out) {
  const auto start = Clock::now();
  const bool speaks = session.rank() == 0;

  // settings
  check_backend(settings);
  const int micro_batches = micro_batches_of(settings, session.size());
  std::string slower;
  const auto ranks = connect_ranks(session, settings, &slower);
  agree(*ranks, settings);
  const auto device = start_device(settings, session, ranks);
  const int threads = device.threads;
  set_compute_threads(threads);

  // plan
  const Model model = make_model(settings);
  const CorpusBatches data = open_data(settings);
  agree(*ranks, data);
  const auto pretrained = open_pretrained(settings);
  const auto shape = shape_of(session, device);
  const auto predict_with = [&](const Settings& other) { return predict(other, model, shape, data.validation_windows()); };
  const auto prediction = predict_with(settings);
  Report report{.version = version(),
                .world_size = session.size(),
                .stage = static_cast<int>(settings.zero_optimization.stage),
                .device = device.name(),
                .threads = threads,
                .parameters = model.parameter_count(),
                .memory = predicted_memory(prediction, model, gather(*ranks, device.baseline())),
                .communication = predicted_communication(prediction),
                .steps = {}};
  std::string no_time;
  try {
    if (speaks) report.steps.predicted = predicted_time(settings, prediction, shape, read_rates(rates_path()));
  } catch (const Error& error) {
    no_time = fmt::format("no time is predicted: {}", error.what());
  }
  if (speaks) {
    out << fmt::format("zerorun {}: {} parameters, stage {}, {} rank{} {}\n\n", report.version, report.parameters, report.stage, report.world_size,
                       report.world_size == 1 ? "" : "s",
                       device.gpu ? fmt::format("on {}", report.device) : fmt::format("of {} thread{}", threads, threads == 1 ? "" : "s"))
        << prediction_table(report.memory) << export_note(report.memory.front()) << std::endl;
    if (report.steps.predicted) out << step_line(*report.steps.predicted) << "\n" << std::endl;
    if (!no_time.empty()) out << "note: " << no_time << std::endl;
    if (!slower.empty()) out << "note: " << slower << std::endl;
    for (const auto& note : device.notes) out << "note: " << note << std::endl;
    for (const auto& note : pretrained ? pretrained->warnings() : std::vector<std::string>{}) out << "note: " << note << std::endl;
  }
  const auto& own = report.memory[session.rank()];
  refuse_if_over(settings, own, session.local_size(), peak_of(predict_with, model, own));
  gather(*ranks, 0);  // what a rank allocates next must not be missing from the host's memory when another looks
  if (speaks && !device.gpu) warn_if_slow(engine_options(settings, session.size()).precision, out);

  // the run folder is rank 0's
  const auto files = make_file_system();
  std::optional<RunFolder> folder;
  if (speaks) {
    folder.emplace(*files, settings.run.dir);
    folder->write_config(resolved_yaml(settings));
  }

  // units: declared, sharded, each slice filled where it lives
  MemoryLedger ledger(device.side());
  CountingCommunicator communicator(*device.communicator);
  const auto optimizer = make_optimizer(settings.optimizer);
  auto options = engine_options(settings, session.size());
  options.initial = pretrained.get();
  options.device = device.device;
  StepTrace trace(settings.metrics.trace_steps, device.gpu && speaks);
  options.trace = trace.trace();
  const auto explained = [&](const auto& activity, const auto& body) {
    return device.last_words->keep([&] {
      try {
        return body();
      } catch (const std::exception& error) {
        explain_lack(error, session.rank(), activity(), settings, own, peak_of(predict_with, model, own));
        throw;
      }
    });
  };
  const auto before_the_steps = [] { return std::string_view("before the first step"); };
  const auto owned = explained(before_the_steps, [&] { return std::make_unique<Engine>(model, communicator, *optimizer, ledger, options); });
  Engine& engine = *owned;
  explained(before_the_steps, [&] { engine.reserve(settings.training.micro_batch_size, settings.training.seq_len); });
  for (const auto& note : speaks ? engine.notes() : std::vector<std::string>()) out << "note: " << note << std::endl;

  // steps
  Progress progress(out, {.is_terminal = output_is_terminal(), .steps = settings.training.steps, .log_freq = settings.metrics.log_freq});
  const Run run{settings, communicator, engine, data, ledger, micro_batches};
  std::vector<double> seconds;
  bool stopped = false;
  for (int64_t step = 0; step < settings.training.steps && !stopped; ++step) {
    trace.before_step(step);
    const auto metrics = explained([&] { return communicator.activity().text(); }, [&] { return run_step(run, step); });
    trace.after_step(step);
    if (step == 0) {
      report.steps.first_loss = metrics.loss;
      report.steps.startup_seconds = seconds_since(start);
    }
    seconds.push_back(metrics.seconds);
    report.steps.count = step + 1;
    report.steps.skipped += metrics.skipped;
    report.steps.last_loss = metrics.loss;
    if (metrics.validation_loss) report.steps.last_validation_loss = metrics.validation_loss;
    if (speaks) {
      folder->append(metrics);
      progress.step(metrics);
    }
    stopped = agree_to_stop(communicator, signals.stop_requested()) != 0;
  }
  const auto after_the_steps = [] { return std::string_view("after the last step"); };
  explained(after_the_steps, [&] { engine.flush(); });
  report.steps.median_seconds = percentile(seconds, 0.5);
  if (report.steps.median_seconds > 0) {
    report.steps.tokens_per_second =
        static_cast<double>(settings.training.global_batch_size * settings.training.seq_len) / report.steps.median_seconds;
  }

  // report
  measure(report.memory, *ranks, ledger);
  measure(report.communication, communicator.traffic());
  if (speaks) {
    progress.finish();
    if (stopped) {
      out << fmt::format("\nstopped after {} of {} steps: what was sent is of these, what was predicted of all\n", report.steps.count,
                         settings.training.steps);
    }
    if (report.steps.skipped > 0) out << fmt::format("\n{} steps overflowed in fp16 and were skipped; they publish no parameters\n", report.steps.skipped);
    out << '\n' << comparison_table(report) << std::flush;
    folder->close();
    if (const auto note = trace.finish(); !note.empty()) out << "note: " << note << std::endl;
    if (trace.trace()) folder->write_trace(trace.json(session.rank()));
    folder->write_report(report_json(report));
  }

  // weights: after the report, which a full disk must not cost
  const bool exports = settings.metrics.export_hf;
  const std::string hf = settings.run.dir + "/hf";
  if (exports) explained(after_the_steps, [&] { export_hf(engine, model, model_config(settings), hf, speaks); });
  if (speaks) {
    out << fmt::format("\n{} after step {}: loss {:.4f}", stopped ? "stopped on request" : "done", report.steps.count, report.steps.last_loss);
    if (report.steps.last_validation_loss) out << fmt::format(", validation loss {:.4f}", *report.steps.last_validation_loss);
    out << fmt::format("; {}/report.json{}\n", folder->path(), exports ? ", " + hf : "") << std::flush;
  }
  return stopped ? static_cast<int>(ErrorKind::stopped) : 0;
}

}  // namespace zerorun
