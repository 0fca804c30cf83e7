// Works on sleeping bytes beside the computation: brings them to the device, takes them from it, changes them where they sleep.
//
// What a work sees is memory: the store itself where that is memory, else a buffer of this offloader's, which is read before and written
// behind. Each lane runs its works in order, the lanes beside each other; what must come after what across lanes is said by events.
// Memory: for stores on disk, kBuffers buffers of batch_bytes, charged as host.
#pragma once
#include <array>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/event.h"
#include "core/memory.h"
#include "core/stream.h"
#include "offload/store.h"

namespace zerorun {

// A stretch of a store that a work sees. Offset, bytes and ranges are multiples of kStoreAlignment.
struct Piece {
  struct Range {
    int64_t begin = 0, end = 0;
  };
  int64_t offset = 0, bytes = 0;
  Range needed = {};   // what is there when the work begins, from `offset` on; the rest may be anything
  Range changed = {};  // what the store has afterwards
};

// Many pieces, all alike but for the last, which a run that only counts does not look at one by one. at(i) is piece i. REQUIRES count > 0.
struct AlikePieces {
  int64_t count = 0;
  std::function<Piece(int64_t)> at;
};

// caller: at once, on the thread that asks. The others are streams: to the device, from it, and updates. To and from a GPU (the ledger's device) works launch
// copies, and have been done when those are.
enum class Lane { caller, up, down, update };
inline constexpr int kLaneCount = 4;

// A stream by a name such as "update" or "update reads", whose tasks may compute with so many threads: one where others compute beside them.
using MakeStream = std::function<std::unique_ptr<Stream>(const std::string& name, int threads)>;
inline std::unique_ptr<Stream> make_thread_stream(const std::string&, int threads) { return std::make_unique<ThreadStream>(threads); }

// What works had to do, in bytes: of their pieces, and of what was read and written for those on disk.
struct OffloadTraffic {
  int64_t up = 0, down = 0, disk_read = 0, disk_written = 0;
  bool operator==(const OffloadTraffic&) const = default;
};

struct OffloaderOptions {
  MakeStream make_stream = make_thread_stream;
  std::array<bool, kLaneCount> overlaps = {false, true, true, true};  // false: who asks waits for the end
  int64_t batch_bytes = 0;                                            // of pieces on disk that are worked on at a time; 0: none is on disk
  bool counts_only = false;                                           // of a run that computes nothing: charges, and nothing else
};

class Offloader {
 public:
  // Memory of the pieces, and the number of the first among those handed in: works on disk get them in batches, in order.
  using Work = std::function<void(size_t first, std::span<std::byte* const> pieces)>;
  // `worked`: what the work uses beside may be used again. `stored`: what it changed is in the store.
  struct Moved {
    Event worked, stored;
  };

  Offloader(MemoryLedger& ledger, OffloaderOptions options);
  // Runs what was asked for, then ends. REQUIRES that all that works use is still there.
  ~Offloader();
  Offloader(const Offloader&) = delete;
  Offloader& operator=(const Offloader&) = delete;

  // What is asked for from now on is counted in `traffic`, which must stay; null: nowhere. Counts in a run that computes nothing, too.
  void count_in(OffloadTraffic* traffic) { traffic_ = traffic; }

  // Works will be asked for on this store: it gets to know the buffers, until it is detached, which waits for works that use them.
  // REQUIRES that it outlives this, or is detached.
  void attach(Store& store);
  void detach(Store& store);

  // Makes the buffers for pieces on disk at least so large. Waits for works that use them.
  void reserve(int64_t batch_bytes);

  // Runs `work` on all pieces, after `after`. Errors of the store and of the work come out of the events, and of every later work's.
  // REQUIRES that the store outlives this, and that no piece is larger than batch_bytes where it is on disk.
  Moved work_on(Store& store, std::vector<Piece> pieces, Lane lane, const std::string& label, Work work, std::vector<Event> after = {});
  Moved work_on(Store& store, const AlikePieces& pieces, Lane lane, const std::string& label, Work work, std::vector<Event> after = {});

 private:
  struct Streams {
    std::unique_ptr<Stream> work, reads, writes;
  };
  static constexpr int kBuffers = 4;

  Moved work_in_place(Store& store, std::vector<Piece> pieces, Stream& stream, const std::string& label, Work work, std::vector<Event> after);
  Moved work_in_batches(Store& store, std::vector<Piece> pieces, Streams& streams, const std::string& label, Work work, std::vector<Event> after);

  std::span<std::byte> buffers() { return buffers_ && !options_.counts_only ? std::span(buffers_->data(), static_cast<size_t>(buffers_->bytes())) : std::span<std::byte>(); }
  void wait_until_free();
  void count(const Store& store, const Piece& piece, Lane lane, int64_t times) const;

  MemoryLedger& ledger_;
  OffloaderOptions options_;
  OffloadTraffic* traffic_ = nullptr;
  std::unique_ptr<Store> buffers_;
  std::vector<Store*> attached_;
  std::array<Event, kBuffers> free_;  // of a buffer
  int next_buffer_ = 0;
  std::array<Streams, kLaneCount> lanes_;
};

}  // namespace zerorun
