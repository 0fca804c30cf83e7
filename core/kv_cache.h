// Keys and values of the positions that are computed, so that the next token costs one position and not the whole text
// again. One for a text, or for a batch of texts of equal length; each rank has its own.
//
// A pass computes `count` new positions of every sample. It is the first (Mode::prefill, any count) or a later one
// (Mode::decode, one position). A pass's n-th append() goes where the first pass's n-th went: in a chain of units that is the
// unit's own place, also where a unit stands in it twice or attends twice.
//
// Memory: with L appends a pass, samples B, K key-value heads of D, e bytes of the dtype: 2 L K D B capacity e, allocated at
// first use. It is charged to `activations`: it is what forward computed of a sample and keeps, as between forward and backward;
// `workspace` is for what is gone when its operation returns.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "core/unit.h"

namespace zerorun {

class Model;

// Not thread-safe.
class KeyValueCache {
 public:
  // For up to `capacity` positions of each sample. Throws Error(configuration) that names the unit where a unit of the model
  // does not support generation.
  KeyValueCache(const Model& model, int64_t capacity);

  int64_t capacity() const { return capacity_; }
  // Positions of each sample that are filled: those of the passes so far, the one under way included.
  int64_t position() const { return position_; }
  // The first position of the pass under way, or of the last.
  int64_t first_position() const { return first_; }
  int64_t bytes() const;

  // For whoever walks the units. Tells the mode of the pass. Throws Error(bad_data) where the capacity ends; REQUIRES one token a
  // sample after the first pass, and as many samples.
  Mode begin_pass(int64_t samples, int64_t count);
  // Forgets all positions, not the memory: the next pass is a first one. Also after a pass that failed.
  void clear();

  // For units, in the pass under way. keys and values [B, count, K D] are copied; what comes back are views of all positions,
  // [B, position(), K D].
  struct Rows {
    at::Tensor keys, values;
  };
  Rows append(const at::Tensor& keys, const at::Tensor& values);

 private:
  at::Tensor& place(size_t index, const at::Tensor& like);

  int64_t capacity_;
  int64_t samples_ = 0;
  int64_t first_ = 0, position_ = 0;
  size_t appended_ = 0;             // in this pass
  std::vector<at::Tensor> places_;  // [B, capacity, K D], keys and values in turn
};

// Where the carry's positions begin in the text.
inline int64_t first_position(const StepContext& context) { return context.cache ? context.cache->first_position() : 0; }

}  // namespace zerorun
