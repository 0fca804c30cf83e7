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

// What rank 0 makes, opened on the others. Collective. Throws on all ranks alike where one cannot: Error(out_of_memory), or
// Error(configuration) where ranks may not see each other's memory. The ranks are called `first_rank` and on in what is said.
SharedMemory share_memory(Communicator& ranks, int64_t bytes, int first_rank = 0);

struct WindowPlan {
  int64_t bytes = 0;
  int64_t own_begin = 0, own_bytes = 0;  // the part that is this rank's, whose pages it takes now
  bool sliced = false;
};

// This process's windows. Thread-safe: a window goes with the tensor that holds it, on whatever thread.
class Windows : public std::enable_shared_from_this<Windows> {
 public:
  explicit Windows(int first_rank = 0) : first_rank_(first_rank) {}
  // Collective, errors as above. The window goes when the last who holds it here lets go; the others have their own view of its memory.
  std::shared_ptr<Window> make(Communicator& ranks, const WindowPlan& plan);
  // Where a span that lies in a window begins, for the others; a place elsewhere where it does not.
  Place place_of(Span span) const;
  // Whether the span is the whole of a sliced window.
  bool is_sliced_whole(Span span) const;
  // The address here of a place of another rank's. REQUIRES that it is in a window that has not been removed here.
  void* address_of(Place place) const;

 private:
  // Numbers are the same on all ranks, which make their windows in the same order.
  std::shared_ptr<Window> add(SharedMemory memory, bool sliced);
  void remove(int64_t number);

  const int first_rank_;
  mutable std::mutex mutex_;
  int64_t next_number_ = 0;
  std::map<int64_t, std::weak_ptr<Window>> by_number_;
  std::map<const char*, int64_t> by_address_;
};

}  // namespace zerorun
