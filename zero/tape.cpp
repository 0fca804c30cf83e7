#include "zero/tape.h"

#include <utility>

namespace zerorun {

Tape::~Tape() {
  for (const auto& entry : entries_) {
    try {
      entry.moved.wait();
    } catch (...) {  // of a step that has failed already; the next work of its stream says so again
    }
  }
}

const Carry& Tape::record(int unit, Carry inputs) {
  auto& entry = entries_[static_cast<size_t>(unit)] = {};
  entry.requires_grad = !inputs.empty() && inputs[0].requires_grad();
  return entry.frame.inputs = std::move(inputs);
}

void Tape::computed(int unit, Carry outputs) {
  auto& entry = entries_[static_cast<size_t>(unit)];
  entry.frame.outputs = std::move(outputs);
  if (!sleeping_) return;
  if (unit > 0) leave(entries_[static_cast<size_t>(unit) - 1]);
  if (!sleeping_->sleeps(unit)) return;
  entry.moved = sleeping_->send(unit, entry.frame.inputs);
  entry.leaves = true;
  if (!sleeping_->overlaps()) leave(entry);
}

void Tape::leave(Entry& entry) {
  if (!entry.leaves) return;
  entry.moved.wait();
  entry.frame.inputs.clear();
  entry.leaves = false;
}

void Tape::fetch(int unit) {
  auto& entry = entries_[static_cast<size_t>(unit)];
  if (!sleeping_->sleeps(unit) || !entry.frame.inputs.empty()) return;
  std::tie(entry.frame.inputs, entry.moved) = sleeping_->fetch(unit);
}

Tape::Frame Tape::take(int unit) {
  auto& entry = entries_[static_cast<size_t>(unit)];
  if (sleeping_) {
    fetch(unit);
    if (sleeping_->overlaps() && unit > 0) fetch(unit - 1);
    entry.moved.wait();
    for (auto& input : entry.frame.inputs) input.requires_grad_(entry.requires_grad);
  }
  return std::exchange(entry.frame, {});
}

}  // namespace zerorun
