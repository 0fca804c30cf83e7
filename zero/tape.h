// What backward needs of forward: for each unit what it read and, where its backward does not compute it again, its graph.
//
// With sleeping frames, what a unit read leaves the device while the next is computed, and comes back while the backward of the one after it is;
// where moves do not overlap, at once and when it is needed.
#pragma once
#include <vector>

#include "core/model.h"
#include "zero/sleeping_frames.h"

namespace zerorun {

class Tape {
 public:
  struct Frame {
    Carry inputs, outputs;
  };

  // `sleeping`: null where all stays on the device.
  Tape(int unit_count, SleepingFrames* sleeping) : sleeping_(sleeping), entries_(static_cast<size_t>(unit_count)) {}
  // Waits for what moves.
  ~Tape();
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  // In forward, in order of the units: before a unit is computed, and after.
  const Carry& record(int unit, Carry inputs);
  void computed(int unit, Carry outputs);
  // In backward, in the other order.
  Frame take(int unit);

 private:
  struct Entry {
    Frame frame = {};
    bool requires_grad = false;  // of the inputs
    bool leaves = false;
    Event moved = {};
  };
  // Waits until it has left, and lets it go.
  void leave(Entry& entry);
  // Unless it is there.
  void fetch(int unit);

  SleepingFrames* const sleeping_;
  std::vector<Entry> entries_;  // by unit
};

}  // namespace zerorun
