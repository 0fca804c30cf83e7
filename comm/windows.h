// The memory that ranks of one host share: windows, each with a part of every rank.
#pragma once
#include <map>
#include <memory>
#include <mutex>

#include "comm/board.h"
#include "comm/communicator.h"
#include "comm/shared_memory.h"

namespace zerorun {

struct Window {
  int64_t number = 0;
  SharedMemory memory;
  bool sliced = false;  // slices side by side: every rank sees the same whole
};

// This process's windows. Thread-safe: a window goes with the tensor that holds it, on whatever thread.
class Windows {
 public:
  // Numbers are the same on all ranks, which make their windows in the same order.
  std::shared_ptr<Window> add(SharedMemory memory, bool sliced);
  void remove(int64_t number);

  // Where a span that lies in a window begins, for the others; a place elsewhere where it does not.
  Place place_of(Span span) const;
  // Whether the span is the whole of a sliced window.
  bool is_sliced_whole(Span span) const;
  // The address here of a place of another rank's. REQUIRES that it is in a window that has not been removed here.
  void* address_of(Place place) const;

 private:
  mutable std::mutex mutex_;
  int64_t next_number_ = 0;
  std::map<int64_t, std::weak_ptr<Window>> by_number_;
  std::map<const char*, int64_t> by_address_;
};

}  // namespace zerorun
