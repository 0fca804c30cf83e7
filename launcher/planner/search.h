// Which settings train a model fastest on given machines: every way to shard, to let sleep and to compute again is predicted, with the largest micro-batch that fits.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "launcher/settings.h"
#include "launcher/step_time.h"

namespace zerorun {

// Bytes: of a GPU, or, without one, of a rank's process; and of a host, for all its ranks together.
struct Space {
  int64_t device = 0, host = 0, disk = 0;
};

// What there is; none: as much as is asked for.
struct SpaceLimits {
  std::optional<int64_t> device, host, disk;
  const char *device_by = "there is", *host_by = "there is";  // who says so: "than memory.limit allows"
};

// What settings take.
struct Foretold {
  Space space;
  StepTime time;
};
using Foretell = std::function<Foretold(const Settings&)>;  // thread-safe

struct Excess {
  const char* of = "";  // "device memory"
  int64_t bytes = 0;    // more than there is
  const char* than = "there is";
};
// The first that falls short, in the order device, host, disk.
std::optional<Excess> excess_of(const Space& space, const SpaceLimits& limits);

struct Way {
  Settings settings;  // with the micro-batch that was tried last
  std::string words;  // "stage 3, recompute, optimizer on the host"
  int switched_on = 0;  // how much of what costs care: the fewer, the simpler
};

struct FittingPlan {
  Way way;
  int64_t micro_batch_size = 1, micro_batches = 1;
  Foretold foretold;
  struct Larger {
    int64_t micro_batch_size;
    Excess excess;
  };
  std::optional<Larger> larger;  // the next micro-batch, which does not fit; none where no larger one divides the batch
};

struct RejectedPlan {
  Way way;
  Excess excess;  // with a micro-batch of 1
};

struct SearchResult {
  std::vector<FittingPlan> plans;  // the fastest first; of those within 1 % of one, the simpler first
  // Of these the best, and those after it that take 5 % less of the device or of the host than each before them.
  std::vector<const FittingPlan*> worthwhile() const;
  std::vector<RejectedPlan> rejected;
  int64_t predictions = 0;
};

// What may be switched on.
struct SearchSpace {
  bool may_use_host = true;            // to sleep in: beside a GPU
  std::optional<std::string> disk = {};  // a folder to sleep in
  bool several_ranks = true;             // of one stages are alike, where neither parameters nor optimizer sleep
};

// All ways from `settings`, in an order of their own: those that the settings contradict are not there. The number of micro-batches follows from the batch and `ranks`.
std::vector<Way> ways_of(const Settings& settings, const SearchSpace& space);

// Deterministic, on `threads` threads. `tell(done, all)` after each way, on any of them, one at a time. Throws what foretell throws.
SearchResult search(const std::vector<Way>& ways, int ranks, const SpaceLimits& limits, const Foretell& foretell, int threads, const std::function<void(size_t, size_t)>& tell);

}  // namespace zerorun
