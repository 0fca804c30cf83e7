#include "zero/sleeping_state.h"

#include <algorithm>
#include <optional>

#include "core/error.h"
#include "offload/counted_store.h"
#include "offload/disk_store.h"
#include "offload/host_store.h"
#include "offload/verified_store.h"

namespace zerorun {
namespace {

using Device = SleepingPlace::Device;

constexpr int64_t kStaging = int64_t{16} << 20;  // half of it is under way while the other half is added

// Groups whose states sleep: all, but for the last that make up less than what may stay.
std::vector<bool> sleeping_states(const Model& model, const SleepingStateOptions& options) {
  const auto& groups = model.groups();
  std::vector<bool> sleeps(groups.size(), false);
  if (!options.offload.optimizer.sleeps() || options.inference) return sleeps;
  double all = 0;
  for (const auto& group : groups) all += group.trainable ? static_cast<double>(GroupLayout(group, 1).padded_count()) : 0;
  double may_stay = all * (1 - options.offload.ratio);
  for (size_t g = groups.size(); g-- > 0;) {
    if (!groups[g].trainable) continue;
    may_stay -= static_cast<double>(GroupLayout(groups[g], 1).padded_count());
    sleeps[g] = may_stay < 0;
  }
  return sleeps;
}

}  // namespace

std::unique_ptr<Store> open_store(const SleepingPlace& place, int64_t bytes, MemoryLedger& ledger) {
  if (place.device == Device::disk) return std::make_unique<DiskStore>(place.path, bytes, ledger);
  return std::make_unique<HostStore>(bytes, ledger);
}

std::unique_ptr<Store> OffloadOptions::open(const SleepingPlace& place, int64_t bytes, MemoryLedger& ledger, bool counts_only) const {
  const bool disk = place.device == Device::disk;
  std::unique_ptr<Store> store;
  if (counts_only) {
    store = std::make_unique<CountedStore>(bytes, ledger, disk ? Category::disk : Category::host);
  } else {
    store = make_store(place, bytes, ledger);
  }
  return disk && verify_disk ? std::make_unique<VerifiedStore>(std::move(store), ledger) : std::move(store);
}

// A store to be: groups take their places in it before it is opened.
struct SleepingState::Space {
  SleepingPlace place;
  int64_t bytes = 0;
  std::unique_ptr<Store> store = {};

  int64_t take(const std::optional<Stripes>& stripes) {
    const int64_t offset = bytes;
    if (stripes) bytes += stripes->bytes();
    return offset;
  }
};

SleepingState::Space& SleepingState::space_at(const SleepingPlace& place) {
  const auto found = std::ranges::find_if(spaces_, [&](const auto& space) { return space->place.same_store(place); });
  return found != spaces_.end() ? **found : *spaces_.emplace_back(std::make_unique<Space>(Space{place}));
}

SleepingState::SleepingState(const Model& model, MemoryLedger& ledger, const SleepingStateOptions& options) {
  const auto& [weights_place, state_place] = std::pair(options.offload.parameters, options.offload.optimizer);
  ZR_CHECK(!weights_place.sleeps() || options.sharding.parameters, "parameters that sleep are not sharded");
  const auto states_sleep = sleeping_states(model, options);

  struct Planned {
    SleepingParts parts;
    SleepingLayout layout;
    int64_t weights_offset = 0, state_offset = 0;
  };
  std::vector<std::optional<Planned>> planned(model.groups().size());
  int64_t largest_gradient = 0;
  OffloaderOptions moves{.make_stream = options.offload.make_stream, .counts_only = options.counts_only};
  const auto on_disk = [&](const SleepingPlace& place, const std::optional<Stripes>& stripes) {
    if (place.device != Device::disk || !stripes) return;
    const int64_t least = stripes->piece(0, 0, 0, stripes->parts()).bytes;
    moves.batch_bytes = std::max({moves.batch_bytes, least, std::min(stripes->bytes(), options.offload.disk_batch_bytes)});
  };
  for (size_t g = 0; g < planned.size(); ++g) {
    if (!weights_place.sleeps() && !states_sleep[g]) continue;
    const GroupLayout layout(model.groups()[g], options.ranks);
    const SleepingParts parts{.count = options.sharding.optimizer ? layout.slice_count() : layout.padded_count(),
                              .weights = weights_place.sleeps(),
                              .state = states_sleep[g],
                              .together = weights_place.same_store(state_place),
                              .states = options.optimizer_states,
                              .precision = options.precision};
    const auto stripe_of = [&](const SleepingPlace& place) { return place.device == Device::disk ? options.offload.disk_stripe : parts.count; };
    auto stripes = SleepingLayout::of(parts, stripe_of(weights_place), stripe_of(state_place));
    on_disk(weights_place, stripes.weights);
    on_disk(state_place, stripes.state);
    if (parts.state) largest_gradient = std::max(largest_gradient, parts.count * parts.precision.gradient_bytes());
    auto& plan = planned[g].emplace(Planned{parts, std::move(stripes)});
    if (plan.layout.weights) plan.weights_offset = space_at(weights_place).take(plan.layout.weights);
    if (plan.layout.state) plan.state_offset = space_at(state_place).take(plan.layout.state);
  }

  for (auto& space : spaces_) {
    space->store = options.offload.open(space->place, space->bytes, ledger, options.counts_only);
  }
  const auto overlaps = [](std::initializer_list<SleepingPlace> places) {
    const auto first = std::ranges::find_if(places, &SleepingPlace::sleeps);
    return first == places.end() || first->overlaps;
  };
  auto frames_place = options.offload.activations;
  const bool fetches_overlap = overlaps({weights_place, state_place, frames_place}), sends_overlap = overlaps({state_place, weights_place, frames_place});
  moves.overlaps = {false, fetches_overlap, sends_overlap, state_place.overlaps};
  offloader_ = std::make_unique<Offloader>(ledger, moves);
  for (auto& space : spaces_) offloader_->attach(*space->store);
  if (frames_place.sleeps() && !options.inference) {
    frames_place.overlaps = fetches_overlap && sends_overlap;
    frames_ = std::make_unique<SleepingFrames>(model, ledger, *offloader_,
                                               SleepingFramesOptions{.place = frames_place,
                                                                     .dtype = options.precision.parameters,
                                                                     .offload = options.offload,
                                                                     .device = options.device,
                                                                     .counts_only = options.counts_only});
  }
  std::span<std::byte> staging;
  if (ledger.device() == Side::gpu && options.micro_batches > 1 && largest_gradient > 0) {
    staging_ = take_host_memory(in_store_units(std::min(kStaging, largest_gradient)), ledger, options.counts_only);
    if (staging_->data()) staging = {staging_->data(), static_cast<size_t>(staging_->bytes())};
  }
  for (size_t g = 0; g < planned.size(); ++g) {
    if (!planned[g]) {
      groups_.push_back(nullptr);
      continue;
    }
    auto& [parts, layout, weights_offset, state_offset] = *planned[g];
    const auto where = [&](const auto& stripes, const SleepingPlace& place, int64_t offset) {
      return stripes ? SleepingGroup::Where{space_at(place).store.get(), offset} : SleepingGroup::Where{};
    };
    const auto weights = where(layout.weights, weights_place, weights_offset), state = where(layout.state, state_place, state_offset);
    groups_.push_back(std::make_unique<SleepingGroup>(model.groups()[g].name, parts, std::move(layout), weights, state, *offloader_, staging));
  }
}

SleepingState::~SleepingState() = default;

std::vector<std::string> SleepingState::notes() const {
  std::vector<std::string> notes;
  for (const auto& space : spaces_) {
    if (!space->store->note().empty()) notes.push_back(space->store->note());
  }
  if (frames_ && !frames_->note().empty()) notes.push_back(frames_->note());
  std::ranges::sort(notes);
  notes.erase(std::unique(notes.begin(), notes.end()), notes.end());
  return notes;
}

}  // namespace zerorun
