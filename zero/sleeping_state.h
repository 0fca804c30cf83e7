// All that sleeps of a rank: its stores, the place of every group in them, and what moves it.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "core/model.h"
#include "offload/offloader.h"
#include "zero/group_layout.h"
#include "zero/offload_options.h"
#include "zero/sharding.h"
#include "zero/sleeping_frames.h"
#include "zero/sleeping_group.h"

namespace zerorun {

struct SleepingStateOptions {
  OffloadOptions offload;
  Sharding sharding;
  Precision precision = {};
  int optimizer_states = 0;
  int ranks = 1;
  int micro_batches = 1;
  bool inference = false;    // parameters only
  at::Device device = at::kCPU;
  bool counts_only = false;  // charges `ledger`, and nothing else
};

class SleepingState {
 public:
  // Takes the space at once. Throws as the stores do.
  SleepingState(const Model& model, MemoryLedger& ledger, const SleepingStateOptions& options);
  // Ends what moves.
  ~SleepingState();
  SleepingState(const SleepingState&) = delete;
  SleepingState& operator=(const SleepingState&) = delete;

  // Null where nothing of the group sleeps.
  SleepingGroup* group(size_t group) { return groups_[group].get(); }
  // Null where activations do not.
  SleepingFrames* frames() { return frames_.get(); }
  // As Offloader::count_in.
  void count_in(OffloadTraffic* traffic) { offloader_->count_in(traffic); }
  // Of the stores, for the user to see.
  std::vector<std::string> notes() const;

 private:
  struct Space;
  Space& space_at(const SleepingPlace& place);

  std::vector<std::unique_ptr<Space>> spaces_;
  std::unique_ptr<Store> staging_;  // null where no gradient of a GPU is added to one that sleeps
  std::vector<std::unique_ptr<SleepingGroup>> groups_;
  std::unique_ptr<SleepingFrames> frames_;
  std::unique_ptr<Offloader> offloader_;  // the last, so that nothing moves any more when the rest goes
};

}  // namespace zerorun
