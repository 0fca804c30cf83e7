// Counts what goes through another communicator. Bytes are those that the contract of communicator.h states, computed
// from the extents handed in: they are equal in a run and in its simulation.
#pragma once
#include <memory>

#include "comm/forwarding_communicator.h"

namespace zerorun {

struct Traffic {
  struct Line {
    int64_t calls = 0;
    int64_t bytes_sent = 0;  // by this rank
    double seconds = 0;      // that the caller was blocked: in the call, and in wait()

    Line& operator+=(const Line& other);
    Line operator*(int64_t times) const;
    bool operator==(const Line&) const = default;
  };
  Line all_gather;
  Line reduce_scatter;
  Line all_reduce;
  Line control;  // exchange

  Traffic& operator+=(const Traffic& other);
  Traffic operator+(const Traffic& other) const { return Traffic(*this) += other; }
  // The traffic of a step becomes that of a run. Throws Error(configuration) where it does not fit 64 bits.
  Traffic operator*(int64_t times) const;
  bool operator==(const Traffic&) const = default;

  // All that has to be moved: where all ranks read the parameters in place, what is gathered has not.
  int64_t bytes_moved(Readers readers) const {
    return (readers == Readers::all ? 0 : all_gather.bytes_sent) + reduce_scatter.bytes_sent + all_reduce.bytes_sent + control.bytes_sent;
  }

  // visit(name, line) for every line, in the order above.
  template <typename Visit>
  void for_each(Visit visit) const {
    visit("all_gather", all_gather);
    visit("reduce_scatter", reduce_scatter);
    visit("all_reduce", all_reduce);
    visit("control", control);
  }
};

// Thread-safe as far as `inner` is. A Work may outlive it.
class CountingCommunicator : public ForwardingCommunicator {
 public:
  // REQUIRES: `inner` outlives it.
  explicit CountingCommunicator(Communicator& inner);

  // A call counts when it is made, its seconds when wait() returns.
  Traffic traffic() const;
  // What this rank told last that it does.
  const Activity& activity() const { return activity_; }

  Work all_gather(Span slice, Span full) override;
  Work reduce_scatter(Span full, Span slice, Span scratch, OnBlock on_block) override;
  Work all_reduce(Span full, Span scratch) override;
  void exchange(const void* mine, void* all, int64_t bytes) override;
  void tell(const Activity& activity) override {
    activity_ = activity;
    inner_.tell(activity);
  }

 private:
  struct Counters;
  template <typename Start>
  Work count(Traffic::Line Traffic::*line, int64_t bytes_sent, Start start);

  std::shared_ptr<Counters> counters_;
  Activity activity_;
};

}  // namespace zerorun
