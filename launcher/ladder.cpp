#include "launcher/ladder.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "core/error.h"
#include "core/nearest_name.h"

namespace zerorun {
namespace {

constexpr int kParts = 4;  // in which a batch is accumulated

std::vector<Rung> all_rungs(int64_t batch, int ranks) {
  using Update = Rung::Update;
  using Asleep = Rung::Asleep;
  const int64_t part = batch / kParts;
  const int per_rank = std::max(1, (kParts + ranks - 1) / ranks);  // micro-batches that are no larger than a part
  const int64_t share = batch / ranks / per_rank;
  const auto target = [&](int64_t at_two_ranks) { return ranks == 2 ? std::optional(at_two_ranks) : std::nullopt; };
  const auto sharded = fmt::format("{} ranks, ZeRO stage 3, {} x {}", ranks, share, per_rank);
  return {
      {"whole", fmt::format("batch {}", batch), batch, 1, false, Update::adamw, false, 1, 0, {10'810, 17'022}},
      {"half", fmt::format("batch {}", batch / 2), batch / 2, 1, false, Update::adamw, false, 1, 0, {10'810, 14'338}},
      {"quarter", fmt::format("batch {}", part), part, 1, false, Update::adamw, false, 1, 0, {10'810, 11'846}},
      {"accumulation", fmt::format("+ accumulation, {} x {}", part, kParts), part, kParts, false, Update::adamw, false, 1, 0, {10'810, 11'736}},
      {"recompute", "+ recompute", part, kParts, true, Update::adamw, false, 1, 0, {10'921, 11'500}},
      {"momentum", "  with SGD and momentum", part, kParts, true, Update::momentum, false, 1, 0, {8'107, 8'786}},
      {"sgd", "  with SGD", part, kParts, true, Update::sgd, false, 1, 0, {5'405, {}}},
      {"bf16", "  in bf16", part, kParts, true, Update::adamw, true, 1, 0, {}},
      {"sharded", "+ " + sharded, share, per_rank, true, Update::adamw, false, ranks, 3, {target(5'742), target(7'004)}},
      {"sharded-bf16", "  in bf16", share, per_rank, true, Update::adamw, true, ranks, 3, {}},
      {"sharded-offload", "  with a sleeping optimizer", share, per_rank, true, Update::adamw, false, ranks, 3, {target(3'039), {}}, Asleep::optimizer},
      {"bf16-offload", "bf16 with a sleeping optimizer", part, kParts, true, Update::adamw, true, 1, 0, {2'758, {}}, Asleep::optimizer},
      {"offload", "all asleep in host memory", part, kParts, true, Update::adamw, false, 1, 3, {412, {}}, Asleep::all},
  };
}

}  // namespace

const char* name_of(Rung::Update update) {
  switch (update) {
    case Rung::Update::adamw: return "AdamW";
    case Rung::Update::momentum: return "SGD with momentum";
    case Rung::Update::sgd: return "SGD";
  }
  fail(ErrorKind::bug, "update {}", static_cast<int>(update));
}

const char* name_of(Rung::Asleep asleep) {
  switch (asleep) {
    case Rung::Asleep::nothing: return "nothing";
    case Rung::Asleep::optimizer: return "optimizer";
    case Rung::Asleep::all: return "all";
  }
  fail(ErrorKind::bug, "asleep {}", static_cast<int>(asleep));
}

int state_bytes_per_parameter(const Rung& rung) {
  const int states = rung.update == Rung::Update::adamw ? 2 : rung.update == Rung::Update::momentum ? 1 : 0;
  const int computed_with = rung.bf16 ? 2 : 4, master = rung.bf16 ? 4 : 0;
  if (rung.asleep == Rung::Asleep::all) return 0;
  if (rung.asleep == Rung::Asleep::optimizer) return computed_with;
  return 2 * computed_with + master + 4 * states;  // parameters and gradients in the same dtype
}

std::vector<Rung> ladder_rungs(const LadderOptions& options, int ranks) {
  const auto all = all_rungs(options.batch, ranks);
  std::vector<std::string> names;
  for (const auto& rung : all) names.push_back(rung.name);
  for (const auto& row : options.rows) {
    if (std::ranges::find(names, row) == names.end()) {
      fail(ErrorKind::usage, "--rows names {}{}, expected some of {}; see zerorun --help", row, did_you_mean(row, names), fmt::join(names, ","));
    }
  }
  std::vector<Rung> rungs;
  for (const auto& rung : all) {
    if (!options.rows.empty() && std::ranges::find(options.rows, rung.name) == options.rows.end()) continue;
    const bool smaller = rung.name == "half" || rung.name == "quarter";
    if (rung.micro_batch_size == 0 || (!smaller && rung.samples() != options.batch) || options.batch % kParts != 0) {
      fail(ErrorKind::usage, "--batch {} does not divide into {} parts and over {} ranks, such as {}; see zerorun --help", options.batch, kParts,
           ranks, kParts * ranks * std::max<int64_t>(1, options.batch / (kParts * ranks)));
    }
    rungs.push_back(rung);
  }
  return rungs;
}

}  // namespace zerorun
