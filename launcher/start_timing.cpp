#include "launcher/start_timing.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <sstream>
#include <string>
#include <utility>

#include "core/data/random_batches.h"
#include "core/models/gpt2.h"
#include "core/threads.h"
#include "launcher/ranks.h"
#include "zero/dry_run.h"
#include "zero/engine.h"

namespace zerorun {
namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::ordered_json;

constexpr Gpt2Config kModel{.vocab_size = 8192, .hidden_size = 512, .num_hidden_layers = 6, .num_attention_heads = 8, .max_position_embeddings = 512,
                            .tie_word_embeddings = false};
constexpr Workload kWork{.micro_batch_size = 1, .seq_len = 32, .steps = 2};

// Seconds after boot at which a process started: field 22 of its stat, in clock ticks, counted after the name's parenthesis.
std::optional<double> started_at(int process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string text;
  std::getline(file, text);
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return {};
  std::istringstream fields(text.substr(name_end + 1));
  std::string field;
  for (int number = 3; number <= 22; ++number) fields >> field;
  return std::stod(field) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

double seconds_since_boot() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// From one phase to the next.
class Stopwatch {
 public:
  explicit Stopwatch(Clock::time_point start) : last_(start) {}
  double lap() {
    const auto now = Clock::now();
    return std::chrono::duration<double>(now - std::exchange(last_, now)).count();
  }

 private:
  Clock::time_point last_;
};

Json before_main(const StartTimes& start) {
  const double main = seconds_since_boot() - std::chrono::duration<double>(Clock::now() - start.main).count();
  const auto own = started_at(getpid()), parent = started_at(getppid());
  return {{"launcher", own && parent && std::getenv("OMPI_COMM_WORLD_RANK") ? Json(*own - *parent) : Json()}, {"program", own ? Json(main - *own) : Json()}};
}

Json time_of_phases(const StartTimes& start, MpiSession& session) {
  Json phases = before_main(start);
  phases["mpi"] = std::chrono::duration<double>(start.mpi - start.main).count();
  Stopwatch watch(start.mpi);
  set_compute_threads(1);
  const auto ranks = connect_ranks(session, Settings{});
  phases["ranks"] = watch.lap();
  const Model model = make_gpt2(kModel);
  const auto optimizer = make_adamw({});
  const EngineOptions options{.sharding = Sharding::of_stage(3)};
  dry_run(model, *optimizer, {.rank = ranks->rank(), .ranks = ranks->size(), .readers = ranks->readers(), .engine = options, .workload = kWork});
  phases["prediction"] = watch.lap();
  MemoryLedger ledger;
  Engine engine(model, *ranks, *optimizer, ledger, options);
  phases["model"] = watch.lap();
  const RandomBatches data({.vocabulary = kModel.vocab_size, .seq_len = kWork.seq_len, .global_batch_size = kWork.micro_batch_size * ranks->size()});
  for (int64_t step = 0; step < kWork.steps; ++step) {
    const MemoryScope scope(ledger, Category::activations);
    engine.train_step(micro_batches(data, step, 1, kWork.micro_batch_size, ranks->rank(), ranks->size()), 1e-3);
    phases[step == 0 ? "first_step" : "second_step"] = watch.lap();
  }
  return phases;
}

}  // namespace

void print_start_timing(const StartTimes& start, MpiSession& session, bool json, std::ostream& out) {
  const Json phases = time_of_phases(start, session);
  if (session.rank() != 0) return;
  if (json) {
    out << Json{{"ranks", session.size()}, {"seconds", phases}}.dump(2) << '\n';
    return;
  }
  constexpr std::pair<const char*, const char*> kPhases[] = {
      {"launcher", "mpirun, until it starts this rank"},   {"program", "loading the program, until main()"}, {"mpi", "MPI_Init, and meeting all ranks"},
      {"ranks", "memory that ranks share"},                {"prediction", "the dry run"},                    {"model", "the model's slices, and what they start with"},
      {"first_step", "first step, with what LibTorch prepares"}, {"second_step", "second step"}};
  for (const auto& [name, text] : kPhases) {
    out << (phases[name].is_null() ? fmt::format("{:<42} {:>8}\n", text, "none") : fmt::format("{:<42} {:>8.3f} s\n", text, phases[name].get<double>()));
  }
}

}  // namespace zerorun
