// What of a group sleeps outside of the device, and how it is brought there, changed and taken back. Nothing here waits: moves are ordered
// by events, and who needs a result waits for it.
//
// A part that this rank updates has these parts in its store: [weights] [master] [states ...] [gradient]; weights are apart only where they
// are not fp32. Weights that sleep elsewhere than the rest have a store of their own.
#pragma once
#include <functional>
#include <optional>
#include <string>

#include "comm/communicator.h"
#include "offload/offloader.h"
#include "zero/gradient_norm.h"
#include "zero/optimizer.h"
#include "zero/precision.h"
#include "zero/stripes.h"

namespace zerorun {

struct SleepingParts {
  int64_t count = 0;     // elements: of the slice, or of the whole where the optimizer is not sharded
  bool weights = false;  // the weights sleep
  bool state = false;    // masters, states and gradients sleep
  bool together = true;  // in one store, where both do
  int states = 0;
  Precision precision = {};
};

// The stripes of each store. None where nothing of the group is there.
struct SleepingLayout {
  std::optional<Stripes> weights;  // weights alone
  std::optional<Stripes> state;
  int weights_part = 0;  // where weights are fetched from, in `weights` where there is one, else in `state`
  int master_part = 0;   // and on: states, gradient

  // `weights_stripe`, `state_stripe`: elements of a stripe.
  static SleepingLayout of(const SleepingParts& parts, int64_t weights_stripe, int64_t state_stripe);
};

class SleepingGroup {
 public:
  struct Where {
    Store* store = nullptr;
    int64_t offset = 0;
  };

  // REQUIRES that the stores, the offloader and `staging` outlive this. `name` is for labels of moves; `staging` is what land() needs to add where gradients come from a GPU.
  SleepingGroup(std::string name, const SleepingParts& parts, SleepingLayout layout, Where weights, Where state, Offloader& offloader, std::span<std::byte> staging);

  bool has_weights() const { return parts_.weights; }
  bool has_state() const { return parts_.state; }

  // Writes what fill(begin, count, out) says of the masters, and the weights that they round to. Blocks.
  void initialise(const std::function<void(int64_t begin, int64_t count, float* out)>& fill);

  // Weights of all elements come to `to`, after `after` and the last change.
  void fetch(Span to, const Event& after = {});
  void wait_until_fetched() const { fetched_.wait(); }
  // The weights have been changed on the device. The event: `from` may be used again.
  Event write_back(Span from);

  // A summed gradient leaves the device: it becomes the gradient (first), or is added to it. `squares`, where it is given, gets the sum of
  // squares of elements [squares_begin, + squares_count) of what is there afterwards. `part` may be used again once it has landed.
  struct Squares {
    SumOfSquares* sum = nullptr;
    int64_t begin = 0, count = 0;
  };
  void land(Span part, bool first, Squares squares);
  void wait_until_landed() const { landed_.wait(); }
  // Block.
  void finish_landing() const { landed_.finish(); }
  void finish_storing() const { stored_.finish(); }

  // Updates all elements where they sleep; the first decay_count decay; `rounding` is that of the first. `optimizer` must outlive it.
  void update(const Optimizer& optimizer, const UpdateArguments& arguments, int64_t decay_count, const Rounding& rounding);

  // Block. fp32: masters, or weights where only those sleep.
  void read_values(Span to);
  void read_gradient(Span to);

 private:
  std::string label(const char* verb) const { return std::string(verb) + " " + name_; }
  void copy_weights_to_disk(const Rounding& rounding);
  void read(const Stripes& stripes, Where where, int part, at::ScalarType dtype, Span to);

  const std::string name_;
  const SleepingParts parts_;
  const SleepingLayout layout_;
  const Where weights_, state_;
  Offloader& offloader_;
  const std::span<std::byte> staging_;
  Event stored_;   // the last change
  Event fetched_;
  Event landed_;
};

}  // namespace zerorun
