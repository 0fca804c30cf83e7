#include "offload/offloader.h"

#include "core/error.h"
#include "core/gpu/gpu.h"
#include "core/threads.h"
#include "offload/host_store.h"

namespace zerorun {
namespace {

constexpr std::array<Lane, kLaneCount> kLanes{Lane::caller, Lane::up, Lane::down, Lane::update};

const char* name_of(Lane lane) {
  switch (lane) {
    case Lane::caller: return "caller";
    case Lane::up: return "up";
    case Lane::down: return "down";
    case Lane::update: return "update";
  }
  fail(ErrorKind::bug, "lane {}", static_cast<int>(lane));
}

int64_t bytes_of(std::span<const Piece> pieces) {
  int64_t bytes = 0;
  for (const auto& piece : pieces) bytes += piece.bytes;
  return bytes;
}

// As many pieces from the first on as fit into a buffer.
size_t count_that_fit(std::span<const Piece> pieces, int64_t buffer_bytes) {
  size_t count = 0;
  for (int64_t bytes = 0; count < pieces.size() && (bytes += pieces[count].bytes) <= buffer_bytes;) ++count;
  ZR_CHECK(count > 0, "a piece of {} bytes, and buffers of {}", pieces.front().bytes, buffer_bytes);
  return count;
}

// A batch in its buffer, one piece behind the other.
struct Batch {
  std::vector<std::byte*> memory;
  std::vector<Extent> needed, changed;
};

Batch lay_out(std::span<const Piece> pieces, std::byte* buffer) {
  Batch batch;
  const auto extent = [](const Piece& piece, std::byte* memory, Piece::Range range) {
    return Extent{piece.offset + range.begin, {memory + range.begin, memory + range.end}};
  };
  for (const auto& piece : pieces) {
    batch.memory.push_back(buffer);
    if (piece.needed.end > piece.needed.begin) batch.needed.push_back(extent(piece, buffer, piece.needed));
    if (piece.changed.end > piece.changed.begin) batch.changed.push_back(extent(piece, buffer, piece.changed));
    buffer += piece.bytes;
  }
  return batch;
}

int64_t bytes_of(const std::vector<Extent>& extents) {
  int64_t bytes = 0;
  for (const auto& extent : extents) bytes += std::ssize(extent.memory);
  return bytes;
}

}  // namespace

Offloader::Offloader(MemoryLedger& ledger, OffloaderOptions options) : ledger_(ledger), options_(std::move(options)) {
  reserve(std::exchange(options_.batch_bytes, 0));
  if (options_.counts_only) return;
  for (const Lane lane : kLanes) {
    const bool gpu_computes = ledger.device() == Side::gpu;
    const int threads = options_.overlaps[static_cast<size_t>(lane)] && !gpu_computes ? 1 : compute_threads();
    auto& work = lanes_[static_cast<size_t>(lane)].work;
    if (lane == Lane::caller) {
      work = std::make_unique<InlineStream>();
    } else if (gpu_computes && lane != Lane::update) {
      work = gpu::make_stream(lane == Lane::down ? threads : 1);  // to the device all is copied
    } else {
      work = options_.make_stream(name_of(lane), threads);
    }
  }
}

Offloader::~Offloader() {
  lanes_ = {};
  for (auto* store : attached_) store->use_memory({});
}

void Offloader::reserve(int64_t batch_bytes) {
  batch_bytes = in_store_units(batch_bytes);
  if (batch_bytes <= options_.batch_bytes) return;
  wait_until_free();
  for (auto* store : attached_) store->use_memory({});
  buffers_.reset();
  buffers_ = take_host_memory(kBuffers * batch_bytes, ledger_, options_.counts_only);
  if (!options_.counts_only) {
    for (const Lane lane : kLanes) {
      auto& [work, reads, writes] = lanes_[static_cast<size_t>(lane)];
      if (!reads) reads = options_.make_stream(std::string(name_of(lane)) + " reads", 1);
      if (!writes) writes = options_.make_stream(std::string(name_of(lane)) + " writes", 1);
    }
  }
  options_.batch_bytes = batch_bytes;
  for (auto* store : attached_) store->use_memory(buffers());
}

void Offloader::wait_until_free() {
  for (const auto& free : free_) free.finish();
}

void Offloader::attach(Store& store) {
  attached_.push_back(&store);
  store.use_memory(buffers());
}

void Offloader::detach(Store& store) {
  wait_until_free();
  store.use_memory({});
  std::erase(attached_, &store);
}

Offloader::Moved Offloader::work_on(Store& store, std::vector<Piece> pieces, Lane lane, const std::string& label, Work work, std::vector<Event> after) {
  for (const auto& piece : pieces) count(store, piece, lane, 1);
  if (options_.counts_only || pieces.empty()) return {};
  auto& streams = lanes_[static_cast<size_t>(lane)];
  const Moved moved = store.is_memory() ? work_in_place(store, std::move(pieces), *streams.work, label, std::move(work), std::move(after))
                                        : work_in_batches(store, std::move(pieces), streams, label, std::move(work), std::move(after));
  if (options_.overlaps[static_cast<size_t>(lane)]) return moved;
  moved.worked.wait();  // first: after a write that failed, the work may still use what is beside
  moved.stored.wait();
  return moved;
}

Offloader::Moved Offloader::work_on(Store& store, const AlikePieces& pieces, Lane lane, const std::string& label, Work work, std::vector<Event> after) {
  if (options_.counts_only) {
    count(store, pieces.at(0), lane, pieces.count - 1);
    count(store, pieces.at(pieces.count - 1), lane, 1);
    return {};
  }
  std::vector<Piece> all;
  for (int64_t i = 0; i < pieces.count; ++i) all.push_back(pieces.at(i));
  return work_on(store, std::move(all), lane, label, std::move(work), std::move(after));
}

void Offloader::count(const Store& store, const Piece& piece, Lane lane, int64_t times) const {
  if (!traffic_) return;
  if (lane == Lane::up) traffic_->up += times * piece.bytes;
  if (lane == Lane::down) traffic_->down += times * piece.bytes;
  if (store.is_memory()) return;
  traffic_->disk_read += times * (piece.needed.end - piece.needed.begin);
  traffic_->disk_written += times * (piece.changed.end - piece.changed.begin);
}

Offloader::Moved Offloader::work_in_place(Store& store, std::vector<Piece> pieces, Stream& stream, const std::string& label, Work work,
                                          std::vector<Event> after) {
  std::vector<std::byte*> memory;
  for (const auto& piece : pieces) memory.push_back(store.data() + piece.offset);
  const Event done = stream.submit(Task{[work = std::move(work), memory = std::move(memory)] { work(0, memory); }, bytes_of(pieces), label}, std::move(after));
  return {done, done};
}

Offloader::Moved Offloader::work_in_batches(Store& store, std::vector<Piece> pieces, Streams& streams, const std::string& label, Work work,
                                            std::vector<Event> after) {
  Moved moved;
  const auto shared_work = std::make_shared<Work>(std::move(work));
  const int64_t buffer_bytes = buffers_->bytes() / kBuffers;
  for (size_t first = 0; first < pieces.size();) {
    const auto left = std::span<const Piece>(pieces).subspan(first);
    const size_t count = count_that_fit(left, buffer_bytes);
    const int buffer = std::exchange(next_buffer_, (next_buffer_ + 1) % kBuffers);
    auto batch = lay_out(left.first(count), buffers_->data() + buffer * buffer_bytes);

    auto ready = after;
    ready.push_back(free_[static_cast<size_t>(buffer)]);
    if (!batch.needed.empty()) {
      const int64_t bytes = bytes_of(batch.needed);
      ready = {streams.reads->submit(Task{[&store, needed = std::move(batch.needed)] { store.read(needed); }, bytes, label}, ready)};
    }
    moved.worked = streams.work->submit(
        Task{[shared_work, first, memory = std::move(batch.memory)] { (*shared_work)(first, memory); }, bytes_of(left.first(count)), label}, std::move(ready));
    moved.stored = moved.worked;
    if (!batch.changed.empty()) {
      const int64_t bytes = bytes_of(batch.changed);
      moved.stored = streams.writes->submit(Task{[&store, changed = std::move(batch.changed)] { store.write(changed); }, bytes, label}, {moved.worked});
    }
    free_[static_cast<size_t>(buffer)] = moved.stored;
    first += count;
  }
  return moved;
}

}  // namespace zerorun
