// The search for a plan: what is tried, what fits, in which order, and what is said of it. What settings take is made up here.
#include "launcher/planner/search.h"

#include <gmock/gmock.h>

#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "core/error.h"
#include "launcher/known_devices.h"
#include "launcher/planner/search_report.h"
#include "tests/launcher/expect_error.h"

namespace zerorun {
namespace {

using testing::HasSubstr;
using Offload = Settings::OffloadDevice;

constexpr int64_t kGiB = int64_t{1} << 30;
constexpr int kRanks = 4;

Settings base() {
  Settings settings;
  settings.model.preset = "7b";
  settings.model.family = Settings::Family::llama;
  settings.training = {.steps = 1, .global_batch_size = 4 * 48, .micro_batch_size = 3, .seq_len = 100};
  settings.optimizer.lr = 1;
  return settings;
}

// 80 GiB of states, an eighth of them parameters, and 2 GiB for a sample that is kept, 1/4 of that where it is computed again. A step takes 10 s, and a second more for whatever
// sleeps or is computed again.
Foretold made_up(const Settings& settings) {
  const auto& [zero, checkpoint] = std::tie(settings.zero_optimization, settings.activation_checkpoint);
  const int64_t states = 80 * kGiB / (zero.stage == 0 ? 1 : kRanks);
  const bool again = checkpoint.mode == Settings::Checkpointing::full;
  int64_t device = 2 * kGiB * settings.training.micro_batch_size / (again ? 4 : 1), asleep = 0, disk = 0;
  double seconds = 10 + again;
  const auto put = [&](Offload where, int64_t bytes) {
    (where == Offload::none ? device : where == Offload::cpu ? asleep : disk) += bytes;
    seconds += where == Offload::none ? 0 : where == Offload::cpu ? 1 : 2;
  };
  put(zero.offload_param.device, states / 8);
  put(zero.offload_optimizer.device, states - states / 8);
  if (checkpoint.offload != Offload::none) put(checkpoint.offload, device / 2);
  StepTime time;
  time.seconds[0][Resource::compute] = seconds + (zero.prefetch == 0);
  return {{device, kRanks * (kGiB + asleep), kRanks * disk}, time};
}

SearchResult search_in(const SpaceLimits& limits, const SearchSpace& space = {}, int threads = 1, const Foretell& foretell = made_up) {
  return search(ways_of(base(), space), kRanks, limits, foretell, threads, [](size_t, size_t) {});
}

SpaceLimits device_of(int64_t bytes) { return {bytes, {}, {}}; }

TEST(Ways, AreAllThatTheSettingsAllow) {
  const auto places = [](const SearchSpace& space) {
    std::set<std::string> all;
    for (const auto& way : ways_of(base(), space)) {
      EXPECT_TRUE(validate(way.settings).empty()) << way.words;
      EXPECT_TRUE(all.insert(way.words).second) << way.words << " twice";
      const auto& zero = way.settings.zero_optimization;
      EXPECT_TRUE(zero.stage == 3 || zero.offload_param.device == Offload::none);
    }
    return all;
  };
  // Stages 0 to 2: the optimizer in p places, and activations kept, or computed again and in p places; stage 3: parameters too, with and without prefetch.
  const auto count = [](size_t p) { return 3 * p * (1 + p) + p * p * (1 + p) * 2; };
  const auto all = places({.may_use_host = true, .disk = "."});
  EXPECT_EQ(all.size(), count(3));
  EXPECT_TRUE(all.contains("stage 3, recompute, parameters on the host, optimizer on disk, activations on the host, no prefetch"));
  EXPECT_EQ(places({.may_use_host = true, .disk = {}}).size(), count(2));
  EXPECT_EQ(places({.may_use_host = false, .disk = {}}).size(), count(1));
  EXPECT_EQ(places({.may_use_host = false, .disk = {}, .several_ranks = false}), (std::set<std::string>{"stage 0", "stage 0, recompute"}));
}

TEST(Ways, KeepAFolderThatTheConfigurationNames) {
  auto settings = base();
  settings.zero_optimization.offload_optimizer.path = "/fast";
  const SearchSpace space{.may_use_host = false, .disk = "."};
  const auto ways = ways_of(settings, space);
  EXPECT_EQ(ways.size(), ways_of(base(), space).size()) << "none contradicts itself";
  for (const auto& way : ways) {
    const auto& zero = way.settings.zero_optimization;
    EXPECT_EQ(zero.offload_optimizer.path, "/fast");
    EXPECT_EQ(zero.offload_param.path.value_or(""), zero.offload_param.device == Offload::nvme ? "/fast" : "");
    EXPECT_FALSE(way.settings.origins.contains("zero_optimization.offload_optimizer.path")) << "it was not chosen";
  }
}

TEST(Search, TakesTheLargestMicroBatchThatFits) {
  // Stage 1: 20 GiB of states; 60 GiB for samples: 30 of them, of the divisors of 48 that is 24.
  const auto result = search_in(device_of(80 * kGiB));
  const auto& best = result.plans.front();
  EXPECT_EQ(best.way.words, "stage 1");
  EXPECT_EQ(best.micro_batch_size, 24);
  EXPECT_EQ(best.micro_batches, 2);
  EXPECT_EQ(best.way.settings.training.micro_batch_size, 24);
  ASSERT_TRUE(best.larger);
  EXPECT_EQ(best.larger->micro_batch_size, 48);
  EXPECT_EQ(best.larger->excess.bytes, 20 * kGiB + 96 * kGiB - 80 * kGiB);
  EXPECT_STREQ(best.larger->excess.of, "device memory");
  const auto all = search_in(device_of(1000 * kGiB));
  EXPECT_EQ(all.plans.front().micro_batch_size, 48);
  EXPECT_FALSE(all.plans.front().larger);
}

// Ten divisors: the first, and four more at most.
TEST(Search, BisectsMicroBatches) {
  const auto result = search_in(device_of(80 * kGiB));
  EXPECT_LE(result.predictions, static_cast<int64_t>(5 * (result.plans.size() + result.rejected.size())));
}

TEST(Search, RejectsByWhatFallsShortFirstAndSaysByHowMuch) {
  const auto result = search_in({22 * kGiB, 8 * kGiB, {}});
  const auto of = [&](const std::string& words) -> const Excess& {
    for (const auto& plan : result.rejected) {
      if (plan.way.words == words) return plan.excess;
    }
    throw std::runtime_error("not rejected: " + words);
  };
  EXPECT_STREQ(of("stage 0").of, "device memory");
  EXPECT_EQ(of("stage 0").bytes, 82 * kGiB - 22 * kGiB);
  EXPECT_STREQ(of("stage 1, optimizer on the host").of, "host memory");
  EXPECT_EQ(of("stage 1, optimizer on the host").bytes, 4 * (kGiB + 35 * kGiB / 2) - 8 * kGiB);
  EXPECT_EQ(result.plans.front().way.words, "stage 1");
}

TEST(Search, PutsTheFastestFirstAndOfThoseAlikeTheSimplest) {
  const auto result = search_in({}, {.may_use_host = true, .disk = "."});
  EXPECT_TRUE(result.rejected.empty());
  EXPECT_EQ(result.plans.front().way.words, "stage 0");
  for (size_t i = 1; i < result.plans.size(); ++i) {
    EXPECT_LE(result.plans[i - 1].foretold.time.total(), 1.01 * result.plans[i].foretold.time.total());
  }
  const auto nearly = [](const Settings& settings) {
    auto foretold = made_up(settings);
    const auto& zero = settings.zero_optimization;
    if (zero.stage == 2 && zero.offload_optimizer.device == Offload::cpu) foretold.time.seconds[0][Resource::compute] = 9.95;
    return foretold;
  };
  EXPECT_EQ(search_in({}, {}, 1, nearly).plans.front().way.words, "stage 0") << "within 1 %";
}

TEST(Search, KeepsForTheTableWhatTakesLessThanAllBefore) {
  const auto result = search_in(device_of(80 * kGiB));
  const auto plans = result.worthwhile();
  ASSERT_GT(plans.size(), 1U);
  EXPECT_EQ(plans.front(), &result.plans.front());
  for (size_t i = 1; i < plans.size(); ++i) {
    const auto& space = plans[i]->foretold.space;
    for (size_t before = 0; before < i; ++before) {
      const auto& than = plans[before]->foretold.space;
      EXPECT_TRUE(20 * space.device <= 19 * than.device || 20 * space.host <= 19 * than.host) << plans[i]->way.words << " and " << plans[before]->way.words;
    }
  }
}

TEST(Search, GivesTheSameAnswerOnManyThreads) {
  const auto words = [](int threads) {
    std::string text;
    for (const auto& plan : search_in(device_of(40 * kGiB), {.may_use_host = true, .disk = "."}, threads).plans) text += fmt::format("{} {}\n", plan.way.words, plan.micro_batch_size);
    return text;
  };
  EXPECT_EQ(words(1), words(4));
}

TEST(Search, TellsHowFarItIs) {
  size_t told = 0;
  const auto ways = ways_of(base(), {});
  search(ways, kRanks, {}, made_up, 2, [&](size_t done, size_t all) {
    EXPECT_EQ(done, ++told);
    EXPECT_EQ(all, ways.size());
  });
  EXPECT_EQ(told, ways.size());
}

TEST(Search, EndsWithTheErrorOfAPrediction) {
  const auto fails = [](const Settings& settings) -> Foretold {
    if (settings.zero_optimization.stage == 2) fail(ErrorKind::configuration, "no stage 2");
    return made_up(settings);
  };
  EXPECT_EQ(message_of(ErrorKind::configuration, [&] { search_in({}, {}, 2, fails); }), "no stage 2");
  auto odd = base();
  odd.training.global_batch_size = 7;
  EXPECT_THAT(message_of(ErrorKind::configuration, [&] { search(ways_of(odd, {}), kRanks, {}, made_up, 1, [](size_t, size_t) {}); }), HasSubstr("global_batch_size is 7"));
}

Searched searched() { return {.device = "h100 (a data sheet with a name of some length; a host with 8 ports of 400 Gbit/s)", .parameters = 7'000'000'000, .ranks = kRanks, .hosts = 2, .tokens = 19'200, .limits = device_of(80 * kGiB)}; }

TEST(SearchReport, FitsAHundredColumns) {
  const auto result = search_in(device_of(30 * kGiB), {.may_use_host = true, .disk = "."});
  ASSERT_FALSE(result.rejected.empty());
  std::istringstream lines(search_table(result, searched()));
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100U) << line;
}

TEST(SearchReport, ExplainsTheWinnerAndWhatIsNext) {
  const auto result = search_in(device_of(80 * kGiB));
  EXPECT_EQ(winner_in_words(result, searched()),
            "stage 1 with a micro-batch of 24 x 2 is the fastest that fits: a step takes at least 10 s (1920 tokens/s), most of it matrix products, and takes 68.00 GiB of "
            "80.00 GiB of the device, 4.00 GiB of each host's memory. The next larger micro-batch, 48, would take 36.00 GiB more device memory than there is.");
  EXPECT_EQ(runner_up_in_words(result), "Next comes stage 1, recompute with a micro-batch of 48 x 1: 10 % slower, with 24.00 GiB less of the device.");
}

TEST(SearchReport, SaysForEachResourceWhatComesNearest) {
  EXPECT_EQ(why_nothing_fits(search_in({kGiB, 5 * kGiB, {}})),
            "none of 42 ways to train it fits, even with a micro-batch of 1: the nearest, stage 3, parameters on the host, optimizer on the host, takes 1.00 GiB more device memory than "
            "there is; another, stage 3, recompute, parameters on the host, optimizer on the host, takes 79.00 GiB more host memory than there is; more ranks, more memory or a smaller model would "
            "help");
}

TEST(SearchReport, NamesTheLimitThatTheUserSet) {
  auto limits = device_of(80 * kGiB);
  limits.device_by = "memory.limit allows";
  EXPECT_THAT(winner_in_words(search_in(limits), searched()), HasSubstr("36.00 GiB more device memory than memory.limit allows."));
  limits.host = 3 * kGiB;
  EXPECT_THAT(why_nothing_fits(search_in(limits)), HasSubstr("1.00 GiB more host memory than there is")) << "memory.limit is of the device, where there is one";
}

TEST(SearchReport, SaysTheSameAsJson) {
  const auto result = search_in(device_of(22 * kGiB));
  const auto json = nlohmann::json::parse(search_json(result, searched()));
  EXPECT_EQ(json["plans"].size(), result.plans.size());
  EXPECT_EQ(json["rejected"].size(), result.rejected.size());
  EXPECT_EQ(json["plans"][0]["settings"]["training.micro_batch_size"], 1);
  EXPECT_EQ(json["plans"][0]["device_bytes"], 22 * kGiB);
  EXPECT_EQ(json["plans"][0]["tokens_per_second"], 1920);
  EXPECT_EQ(json["plans"][0]["next_micro_batch"]["excess"]["bytes"], 2 * kGiB);
  EXPECT_EQ(json["rejected"][0]["excess"]["of"], "device memory");
  EXPECT_EQ(json["searched"]["host_bytes"], nullptr);
}

TEST(KnownDevices, AreFoundByEachName) {
  for (const auto& name : known_device_names()) {
    const auto device = find_device(name);
    ASSERT_TRUE(device) << name;
    EXPECT_FALSE(device->source.empty());
    EXPECT_GT(device->memory, 20 * kGiB);
    const auto& rates = device->rates;
    EXPECT_GT(rates.multiply.at("bf16"), rates.multiply.at("fp32"));
    for (const double rate : {rates.host_to_device, rates.device_to_host, rates.adamw, *rates.host_adamw, *rates.links, *rates.network, *rates.disk_read, *rates.disk_write}) EXPECT_GT(rate, 1e6);
    EXPECT_LT(*rates.host_adamw, rates.adamw);
  }
  EXPECT_FALSE(find_device(""));
  EXPECT_FALSE(find_device("H100"));
}

}  // namespace
}  // namespace zerorun
