// What overlap makes of a step whose parameters and optimizer sleep in host memory behind a link of chosen speed: blocked, overlapped, and the
// least that the parts allow.
//   overlap_bench [--rounds N]
// One thread computes, one updates; the links wait without using a core. Their speeds are chosen so that the parts balance: forward, updates and
// fetches take as long in forward; backward and sums on their way to the host in backward. What the parts take is measured in each round, one after the
// other; then the step, blocked and overlapped. Prints one JSON line for each round. For tests/bench/overlap.py.
#include <ATen/ops/randint.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "comm/thread_communicator.h"
#include "core/models/llama.h"
#include "core/threads.h"
#include "offload/link.h"
#include "zero/dry_run.h"
#include "zero/engine.h"

namespace zerorun {
namespace {

using Clock = std::chrono::steady_clock;

constexpr LlamaConfig kModel{.vocab_size = 1024, .hidden_size = 768, .num_hidden_layers = 12, .num_attention_heads = 12, .num_key_value_heads = 12,
                             .intermediate_size = 2048, .max_position_embeddings = 4096};
constexpr int64_t kFirstTokens = 128;
constexpr int kSteps = 4;  // timed, after one that is not

// A step's, in seconds.
struct Parts {
  double step = 0, forward = 0, backward = 0, update = 0;
};

Batch batch_of(int64_t tokens) { return {at::randint(kModel.vocab_size, {1, tokens}), at::randint(kModel.vocab_size, {1, tokens}), 0}; }

EngineOptions options_of(const OffloadOptions& offload) { return {.sharding = Sharding::of_stage(3), .offload = offload}; }

OffloadOptions asleep(bool overlaps, MakeStream make_stream = make_thread_stream) {
  OffloadOptions offload;
  offload.parameters = offload.optimizer = {SleepingPlace::Device::host, "", overlaps};
  offload.make_stream = std::move(make_stream);
  return offload;
}

Parts run(const Model& model, int64_t tokens, const OffloadOptions& offload) {
  Parts parts;
  run_ranks(1, [&](Communicator& communicator) {
    set_compute_threads(1);
    MemoryLedger ledger;
    Trace trace;
    auto options = options_of(offload);
    options.trace = &trace;
    const auto optimizer = make_adamw({});
    Engine engine(model, communicator, *optimizer, ledger, options);
    const Batch batch = batch_of(tokens);
    std::vector<double> seconds;
    for (int step = 0; step <= kSteps; ++step) {
      if (step == 1) trace.start();
      const auto start = Clock::now();
      engine.train_step({&batch, 1}, 1e-4);
      if (step > 0) seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    }
    trace.stop();
    const auto per_step = [&](const char* lane, const char* name) {
      return trace.seconds_of([&](const std::string& its_lane, const std::string& its_name) { return its_lane == lane && its_name.starts_with(name); }) / kSteps;
    };
    std::ranges::sort(seconds);
    parts = {seconds[kSteps / 2], per_step("compute", "forward"), per_step("compute", "backward"), per_step("update", "update")};
  });
  return parts;
}

StepWork work_of(const Model& model, int64_t tokens, bool overlaps) {
  DryRunOptions options;
  options.engine = options_of(asleep(overlaps));
  options.workload = {1, tokens, 1, 0, 0};
  return dry_run(model, *make_adamw({}), options).step;
}

// What a unit takes on its way up before the first can be computed, and down after the last: the largest of both.
double largest_share(const Model& model, int64_t bytes) {
  int64_t largest = 0;
  for (const auto& group : model.groups()) {
    int64_t count = 0;
    for (const auto& parameter : group.parameters) count += parameter.count();
    largest = std::max(largest, count);
  }
  return static_cast<double>(largest) / static_cast<double>(model.parameter_count()) * static_cast<double>(bytes);
}

void bench(int rounds) {
  const Model model = make_llama(kModel);
  // As many tokens as make forward last as long as the updates.
  const Parts first = run(model, kFirstTokens, asleep(false));
  const int64_t tokens = std::clamp<int64_t>(std::llround(kFirstTokens * first.update / first.forward / 16) * 16, 16, kModel.max_position_embeddings);
  const StepWork overlapped_work = work_of(model, tokens, true);
  for (int round = 0; round < rounds; ++round) {
    const Parts parts = run(model, tokens, asleep(false));
    const auto& [up_forward, up_backward, down] =
        std::tuple(overlapped_work.forward.moves.up, overlapped_work.backward.moves.up, overlapped_work.backward.moves.down);
    const Link up{static_cast<double>(up_forward) / parts.forward}, to_host{static_cast<double>(down) / parts.backward};
    const MakeStream linked = [&](const std::string& name, int threads) {
      auto stream = make_thread_stream(name, threads);
      if (name == "up") return through(up, std::move(stream));
      return name == "down" ? through(to_host, std::move(stream)) : std::move(stream);
    };
    const Parts blocked = run(model, tokens, asleep(false, linked)), overlapped = run(model, tokens, asleep(true, linked));
    const auto seconds_up = [&](double bytes) { return bytes / up.bytes_per_second; };
    const double up_in_backward = seconds_up(static_cast<double>(up_backward)), down_in_backward = static_cast<double>(down) / to_host.bytes_per_second;
    const double ends = seconds_up(largest_share(model, up_forward)) + largest_share(model, down) / to_host.bytes_per_second;
    const double bound = std::max({parts.forward, parts.update, seconds_up(static_cast<double>(up_forward))}) +
                         std::max({parts.backward, up_in_backward, down_in_backward}) + ends;
    fmt::print("{{\"tokens\": {}, \"forward\": {:.6f}, \"backward\": {:.6f}, \"update\": {:.6f}, \"up_bytes_per_second\": {:.0f}, \"down_bytes_per_second\": {:.0f}, "
               "\"up_in_backward\": {:.6f}, \"ends\": {:.6f}, \"bound\": {:.6f}, \"blocked\": {:.6f}, \"overlapped\": {:.6f}, \"update_overlapped\": {:.6f}, "
               "\"forward_overlapped\": {:.6f}, \"backward_overlapped\": {:.6f}}}\n",
               tokens, parts.forward, parts.backward, parts.update, up.bytes_per_second, to_host.bytes_per_second, up_in_backward, ends, bound, blocked.step,
               overlapped.step, overlapped.update, overlapped.forward, overlapped.backward);
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace zerorun

int main(int argc, char** argv) {
  zerorun::install_counting_allocators();
  zerorun::bench(argc == 3 && std::string(argv[1]) == "--rounds" ? std::stoi(argv[2]) : 5);
}
