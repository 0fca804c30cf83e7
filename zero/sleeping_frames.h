// Tape frames that sleep: what units read in forward leaves the device, and comes back for their backward.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/model.h"
#include "offload/offloader.h"
#include "zero/offload_options.h"

namespace zerorun {

struct SleepingFramesOptions {
  SleepingPlace place;
  at::ScalarType dtype = at::kFloat;  // of the parameters
  OffloadOptions offload = {};
  at::Device device = at::kCPU;
  bool counts_only = false;
};

class SleepingFrames {
 public:
  // REQUIRES that model and ledger outlive this, and that nothing is asked for once the offloader is gone.
  SleepingFrames(const Model& model, MemoryLedger& ledger, Offloader& offloader, SleepingFramesOptions options);

  // Whether frames move beside the computation.
  bool overlaps() const { return options_.place.overlaps; }
  // Whether what the unit reads leaves the device. What the last units read does not: it would have no time to go and to come back. Nor
  // what a unit reads whose backward does not compute it again.
  bool sleeps(int unit) const { return !frames_[static_cast<size_t>(unit)].tensors.empty(); }

  // Takes the space for the frames of a micro-batch, unless it is there; their shapes are found by a forward on the meta device, which charges
  // nothing. REQUIRES that nothing sleeps. Throws as stores do.
  void reserve(const StepContext& context);

  // The event: `frame` may go. REQUIRES that it is left as it is until then.
  Event send(int unit, const Carry& frame);

  // Fresh tensors. The event: they have arrived; until then they have to stay.
  std::pair<Carry, Event> fetch(int unit);

  std::string note() const { return store_ ? store_->note() : ""; }

 private:
  struct Place {
    std::vector<int64_t> sizes, strides;
    at::ScalarType dtype;
    int64_t bytes, offset;
  };
  struct Frame {
    std::vector<Place> tensors;
    Event stored;
  };

  int64_t lay_out(const StepContext& context);
  bool may_sleep(int unit) const;
  Offloader::Moved move(const Carry& tensors, const Frame& frame, Lane lane, const std::string& label, std::vector<Event> after);

  const Model& model_;
  MemoryLedger& ledger_;
  Offloader& offloader_;
  const SleepingFramesOptions options_;
  MemoryLedger shapes_;                            // of what has no bytes
  std::vector<std::vector<at::Tensor>> weights_;  // by unit, on meta
  std::vector<int64_t> reserved_for_;             // sizes of the tokens
  std::vector<Frame> frames_;                     // by unit
  std::unique_ptr<Store> store_;
};

}  // namespace zerorun
