#include "launcher/planner/search.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

#include "core/error.h"

namespace zerorun {
namespace {

using Offload = Settings::OffloadDevice;
using Checkpointing = Settings::Checkpointing;

constexpr int64_t kLargestMicroBatch = 65'536;  // of the schema
constexpr double kAlike = 1.01, kWorthwhile = 0.95;
constexpr int64_t kSlots = 2;  // for parameters that sleep: one in use, one on its way; more take more memory, and no less time by the rates

struct Choice {
  int64_t stage;
  Offload parameters, optimizer, activations;
  bool recompute;
  int64_t prefetch;
};

const char* place_of(Offload where) { return where == Offload::cpu ? "on the host" : "on disk"; }

Way way_of(const Settings& settings, const Choice& choice, const SearchSpace& space) {
  Way way{settings, "", 0};
  auto& zero = way.settings.zero_optimization;
  auto& checkpoint = way.settings.activation_checkpoint;
  const auto chosen = [&](const std::string& key) { way.settings.origins[key] = "zerorun plan --search"; };
  // What sleeps on disk sleeps in one folder: the one that the configuration names, if it does.
  const auto folder = zero.offload_param.path ? zero.offload_param.path : zero.offload_optimizer.path ? zero.offload_optimizer.path : checkpoint.path ? checkpoint.path : space.disk;
  const auto sleep = [&](auto& place, Offload& device, Offload where, const std::string& section, const char* key) {
    device = where;
    chosen(section + key);
    if (where != Offload::nvme || place.path) return;
    place.path = folder;
    chosen(section + "path");
  };
  zero.stage = choice.stage;
  zero.prefetch = choice.prefetch;
  zero.offload_param.buffer_count = kSlots;
  sleep(zero.offload_param, zero.offload_param.device, choice.parameters, "zero_optimization.offload_param.", "device");
  sleep(zero.offload_optimizer, zero.offload_optimizer.device, choice.optimizer, "zero_optimization.offload_optimizer.", "device");
  sleep(checkpoint, checkpoint.offload, choice.activations, "activation_checkpoint.", "offload");
  checkpoint.mode = choice.recompute ? Checkpointing::full : Checkpointing::none;
  for (const char* key : {"zero_optimization.stage", "zero_optimization.prefetch", "zero_optimization.offload_param.buffer_count", "activation_checkpoint.mode", "training.micro_batch_size"}) chosen(key);
  std::vector<std::string> words{fmt::format("stage {}", choice.stage)};
  const auto switch_on = [&](Offload where, const char* what) {
    if (where == Offload::none) return;
    words.push_back(fmt::format("{} {}", what, place_of(where)));
    way.switched_on += where == Offload::nvme ? 3 : 2;
  };
  if (choice.recompute) {
    words.push_back("recompute");
    ++way.switched_on;
  }
  switch_on(choice.parameters, "parameters");
  switch_on(choice.optimizer, "optimizer");
  switch_on(choice.activations, "activations");
  if (choice.prefetch == 0) {
    words.push_back("no prefetch");
    ++way.switched_on;
  }
  way.words = fmt::format("{}", fmt::join(words, ", "));
  return way;
}

std::vector<int64_t> divisors(int64_t number) {
  std::vector<int64_t> found;
  for (int64_t d = 1; d <= std::min(number, kLargestMicroBatch); ++d) {
    if (number % d == 0) found.push_back(d);
  }
  return found;
}

// What the bisection over micro-batches leaves of a way.
struct Tried {
  std::optional<FittingPlan> plan;
  std::optional<RejectedPlan> rejected;
  int64_t predictions = 0;
};

Tried try_way(Way way, int64_t samples, const std::vector<int64_t>& sizes, const SpaceLimits& limits, const Foretell& foretell) {
  Tried tried;
  const auto predict = [&](size_t index) {
    way.settings.training.micro_batch_size = sizes[index];
    ++tried.predictions;
    return foretell(way.settings);
  };
  Foretold best = predict(0);
  if (const auto excess = excess_of(best.space, limits)) {
    tried.rejected = RejectedPlan{way, *excess};
    return tried;
  }
  size_t fits = 0, end = sizes.size();  // [fits] does, [end] does not
  std::optional<Excess> over;
  while (end - fits > 1) {
    const size_t middle = fits + (end - fits) / 2;
    const auto foretold = predict(middle);
    if (const auto excess = excess_of(foretold.space, limits)) {
      end = middle;
      over = excess;
    } else {
      fits = middle;
      best = foretold;
    }
  }
  way.settings.training.micro_batch_size = sizes[fits];
  tried.plan = FittingPlan{way, sizes[fits], samples / sizes[fits], best, {}};
  if (over) tried.plan->larger = FittingPlan::Larger{sizes[end], *over};
  return tried;
}

// Those within 1 % of the fastest that is left, the simpler first.
void put_in_order(std::vector<FittingPlan>& plans) {
  std::ranges::stable_sort(plans, {}, [](const FittingPlan& plan) { return plan.foretold.time.total(); });
  for (auto first = plans.begin(); first != plans.end();) {
    const double limit = kAlike * first->foretold.time.total();
    const auto last = std::ranges::find_if(first, plans.end(), [&](const FittingPlan& plan) { return plan.foretold.time.total() > limit; });
    std::stable_sort(first, last, [](const FittingPlan& a, const FittingPlan& b) { return a.way.switched_on < b.way.switched_on; });
    first = last;
  }
}

}  // namespace

std::vector<const FittingPlan*> SearchResult::worthwhile() const {
  std::vector<const FittingPlan*> found;
  const auto takes_no_less = [](const FittingPlan& plan, const FittingPlan& than) {
    const auto &a = plan.foretold.space, &b = than.foretold.space;
    return (a.device == 0 || static_cast<double>(a.device) > kWorthwhile * static_cast<double>(b.device)) && static_cast<double>(a.host) > kWorthwhile * static_cast<double>(b.host);
  };
  for (const auto& plan : plans) {
    if (std::ranges::none_of(found, [&](const FittingPlan* before) { return takes_no_less(plan, *before); })) found.push_back(&plan);
  }
  return found;
}

std::optional<Excess> excess_of(const Space& space, const SpaceLimits& limits) {
  const auto over = [](int64_t bytes, const std::optional<int64_t>& limit) { return limit && bytes > *limit; };
  if (over(space.device, limits.device)) return Excess{"device memory", space.device - *limits.device, limits.device_by};
  if (over(space.host, limits.host)) return Excess{"host memory", space.host - *limits.host, limits.host_by};
  if (over(space.disk, limits.disk)) return Excess{"disk", space.disk - *limits.disk};
  return std::nullopt;
}

std::vector<Way> ways_of(const Settings& settings, const SearchSpace& space) {
  std::vector<Offload> places{Offload::none};
  if (space.may_use_host) places.push_back(Offload::cpu);
  if (space.disk) places.push_back(Offload::nvme);
  std::vector<Way> ways;
  const auto add = [&](const Choice& choice) {
    auto way = way_of(settings, choice, space);
    if (validate(way.settings).empty()) ways.push_back(std::move(way));
  };
  for (int64_t stage = 0; stage <= 3; ++stage) {
    for (const auto parameters : places) {
      for (const auto optimizer : places) {
        for (const bool recompute : {false, true}) {
          for (const auto activations : places) {
            if (activations != Offload::none && !recompute) continue;
            if (stage > 0 && !space.several_ranks && parameters == Offload::none && optimizer == Offload::none) continue;
            for (const int64_t prefetch : {1, 0}) {
              if (prefetch == 0 && stage < 3) continue;  // nothing is gathered ahead there
              add({stage, parameters, optimizer, activations, recompute, prefetch});
            }
          }
        }
      }
    }
  }
  return ways;
}

SearchResult search(const std::vector<Way>& ways, int ranks, const SpaceLimits& limits, const Foretell& foretell, int threads, const std::function<void(size_t, size_t)>& tell) {
  SearchResult result;
  ZR_CHECK(!ways.empty(), "a search without a way");
  Settings first = ways.front().settings;
  first.training.micro_batch_size = 1;
  const int64_t samples = micro_batches_of(first, ranks);
  const auto sizes = divisors(samples);
  std::vector<Tried> tried(ways.size());
  std::atomic<size_t> next = 0;
  std::mutex telling;
  size_t done = 0;
  std::exception_ptr failure;
  const auto work = [&] {
    for (size_t i; (i = next++) < ways.size();) {
      std::exception_ptr failed;
      try {
        tried[i] = try_way(ways[i], samples, sizes, limits, foretell);
      } catch (...) {
        failed = std::current_exception();
      }
      const std::lock_guard lock(telling);
      if (failed && !failure) failure = failed;
      if (failure) return;
      tell(++done, ways.size());
    }
  };
  {
    std::vector<std::jthread> others;
    for (int i = 1; i < threads; ++i) others.emplace_back(work);
    work();
  }
  if (failure) std::rethrow_exception(failure);
  for (auto& one : tried) {
    result.predictions += one.predictions;
    if (one.plan) result.plans.push_back(*std::move(one.plan));
    if (one.rejected) result.rejected.push_back(*std::move(one.rejected));
  }
  put_in_order(result.plans);
  return result;
}

}  // namespace zerorun
