#include "comm/host_communicator.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "comm/backoff.h"
#include "comm/board_report.h"
#include "comm/buffers.h"
#include "comm/gather.h"
#include "comm/rank_sum.h"
#include "comm/stream.h"
#include "core/error.h"

namespace zerorun {
namespace {

constexpr int64_t kBlocksPerTask = 256;

int64_t in_pages(int64_t bytes) {
  static const int64_t page = sysconf(_SC_PAGESIZE);
  return (bytes + page - 1) / page * page;
}

}  // namespace

HostCommunicator::HostCommunicator(std::shared_ptr<Communicator> messages, HostWatch watch)
    : messages_(std::move(messages)),
      rank_(messages_->rank()),
      size_(messages_->size()),
      board_memory_(share_memory(*messages_, Board::bytes_for(size_), watch.first_rank)),
      board_(std::in_place, board_memory_.data(), rank_, size_),
      windows_(std::make_shared<Windows>(watch.first_rank)),
      watch_(std::move(watch)) {
  board_memory_.close_descriptor();
  board_->sign(getpid());
  gather(*messages_, 0);  // all have signed
  if (watch_.on_lost_rank) watch_peers();
}

HostCommunicator::~HostCommunicator() {
  if (std::uncaught_exceptions() > exceptions_at_start_) interrupt();
  if (failure_ || board_->state(rank_) != Board::State::running) return;  // what the board says of this rank is still read
  try {
    wait_until([this] { return pending_.empty(); });
    board_->leave(Board::State::ended);
  } catch (...) {
    give_up(std::current_exception());
  }
}

Work HostCommunicator::all_gather(Span slice, Span full) {
  check_all_gather(*this, slice, full);
  check_data(slice);
  check_data(full);
  const Call call{Collective::all_gather, slice.dtype, slice.count, activity_};
  const uint64_t sequence = reserve();
  post(sequence, call, windows_->place_of(slice), /*takes=*/!windows_->is_sliced_whole(full));
  return issue(sequence, call, [=, this] {
    all_in_windows(sequence) ? copy(sequence, slice, full) : messages_->all_gather(slice, full).wait();
  });
}

Work HostCommunicator::reduce_scatter(Span full, Span slice, Span scratch, OnBlock on_block) {
  check_reduce_scatter(*this, full, slice, scratch);
  check_data(full);
  check_data(slice);
  const Call call{Collective::reduce_scatter, full.dtype, full.count, activity_};
  const uint64_t sequence = reserve();
  post(sequence, call, windows_->place_of(full), /*takes=*/true);
  return issue(sequence, call, [=, this] {
    all_in_windows(sequence) ? sum(sequence, slice, on_block) : messages_->reduce_scatter(full, slice, scratch, on_block).wait();
  });
}

// Two halves. Nobody writes over what a rank still sums: slice r of everybody's `full` is read by rank r alone, which comes to
// the second half after that.
Work HostCommunicator::all_reduce(Span full, Span scratch) {
  check_all_reduce(*this, full, scratch);
  check_data(full);
  const Call call{Collective::all_reduce, full.dtype, full.count, activity_};
  const Place place = windows_->place_of(full);
  const Span own = full.slice(rank_, size_);
  const uint64_t first = reserve(), second = reserve();
  post(first, call, place, /*takes=*/false);
  issue(first, call, [=, this] {
    all_in_windows(first) ? sum(first, own) : messages_->all_reduce(full, scratch).wait();
    post(second, call, place, /*takes=*/true);
  });
  return issue(second, call, [=, this] {
    for (int r = 0; r < size_ && all_in_windows(second); ++r) {
      const Span from{windows_->address_of(board_->posting(r, second).place), full.count, full.dtype};
      copy_bytes(from.slice(r, size_).data, full.slice(r, size_).data, own.bytes());
    }
  });
}

void HostCommunicator::exchange(const void* mine, void* all, int64_t bytes) {
  check_exchange(mine, all, bytes);
  const Call call{Collective::exchange, at::kByte, bytes, activity_};
  const uint64_t sequence = reserve();
  post(sequence, call, {}, /*takes=*/false, bytes <= kPostedBytes ? mine : nullptr);
  issue(sequence, call, [=, this] {
    if (bytes > kPostedBytes) return messages_->exchange(mine, all, bytes);
    for (int r = 0; r < size_ && bytes > 0; ++r) {
      std::memcpy(static_cast<char*>(all) + r * bytes, board_->posting(r, sequence).bytes.data(), static_cast<size_t>(bytes));
    }
  }).wait();
}

at::Tensor HostCommunicator::allocate(int64_t bytes) {
  ZR_CHECK(bytes >= 0, "a buffer of {} bytes", bytes);
  if (bytes == 0) return host_buffer(0);
  const int64_t part = in_pages(bytes);
  const auto window = windows_->make(*this, {.bytes = size_ * part, .own_begin = rank_ * part, .own_bytes = part});
  return shared_buffer(window->memory.data() + rank_ * part, bytes, window);
}

at::Tensor HostCommunicator::allocate_slice(int64_t slice_bytes, void*& whole) {
  ZR_CHECK(slice_bytes >= 0, "a buffer of {} bytes", slice_bytes);
  whole = nullptr;
  if (slice_bytes == 0) return host_buffer(0);
  const int64_t begin = rank_ * slice_bytes;
  const auto window = windows_->make(*this, {.bytes = size_ * slice_bytes, .own_begin = begin, .own_bytes = slice_bytes, .sliced = true});
  whole = window->memory.data();
  return shared_buffer(window->memory.data() + begin, slice_bytes, window);
}

void HostCommunicator::tell(const Activity& activity) {
  label(activity);
  show(activity);
}

void HostCommunicator::abandon() noexcept {
  if (!pending_.empty()) {
    give_up(std::make_exception_ptr(PeerFailed(ErrorKind::stopped, "this rank gave up the collective before its peers joined it")));
  }
  messages_->abandon();
}

// A place of the ring is free when all are done with what was there.
uint64_t HostCommunicator::reserve() {
  if (failure_) std::rethrow_exception(failure_);
  const uint64_t sequence = ++last_sequence_;
  if (sequence > Board::kRing) {
    wait_until([this, before = sequence - Board::kRing] { return board_->done_by_all(before); });
  }
  return sequence;
}

void HostCommunicator::post(uint64_t sequence, Call call, Place place, bool takes, const void* bytes) {
  auto& posting = board_->prepare(sequence);
  posting.call = call;
  posting.place = place;
  posting.takes = takes;
  if (bytes) std::memcpy(posting.bytes.data(), bytes, static_cast<size_t>(call.count));
  board_->post(sequence);
}

Work HostCommunicator::issue(uint64_t sequence, Call call, std::function<void()> read) {
  pending_.push_back({sequence, call, std::move(read)});
  return Work([this, sequence, alive = std::weak_ptr<char>(alive_)] {
    if (!alive.expired()) complete(sequence);
  });
}

void HostCommunicator::complete(uint64_t sequence) {
  if (failure_) std::rethrow_exception(failure_);
  wait_until([&] { return std::ranges::find(pending_, sequence, &Pending::sequence) == pending_.end(); });
}

// Whatever is waited for, everything that can move does: a peer may wait for another collective first.
void HostCommunicator::wait_until(const std::function<bool()>& condition) {
  Backoff backoff(200, 5000, std::chrono::microseconds(50));
  const auto start = std::chrono::steady_clock::now();
  try {
    while (!condition()) {
      if (progress()) {
        backoff.reset();
        continue;
      }
      check_peers();
      check_time(start);
      backoff.pause();
    }
    board_->wait_in(0);
  } catch (...) {
    give_up(std::current_exception());
    throw;
  }
}

// In order: what travels as messages is matched by it.
bool HostCommunicator::progress() {
  bool moved = false;
  for (auto& pending : pending_) {
    if (pending.is_read) continue;
    if (!read(pending)) break;
    moved = true;
  }
  return std::erase_if(pending_, [this](const Pending& pending) { return pending.is_read && !is_held(pending); }) > 0 || moved;
}

bool HostCommunicator::read(Pending& pending) {
  if (!board_->posted_by_all(pending.sequence)) return false;
  if (!board_->calls_agree(pending.sequence)) disagree(pending.sequence);
  pending.read();
  for (int r = 0; r < size_; ++r) pending.is_taken |= r != rank_ && board_->posting(r, pending.sequence).takes;
  board_->set_done(pending.sequence);
  return pending.is_read = true;
}

bool HostCommunicator::is_held(const Pending& pending) const { return pending.is_taken && !board_->done_by_all(pending.sequence); }

void HostCommunicator::disagree(uint64_t sequence) const {
  std::vector<CallOfRank> calls;
  for (int r = 0; r < size_; ++r) calls.push_back({watch_.first_rank + r, board_->posting(r, sequence).call});
  fail_disagreement(calls);
}

// One that ended had posted before, and was done with, what it took part in. Who ended because another gave up did so after that one:
// the states are read in this order.
void HostCommunicator::check_peers() const {
  int ended = -1;
  for (int r = size_ - 1; r >= 0; --r) {
    const bool is_missed = !pending_.empty() && !board_->has_posted(r, pending_.back().sequence);
    if (is_missed && board_->state(r) == Board::State::ended) ended = r;
  }
  for (int r = 0; r < size_; ++r) {
    if (board_->state(r) == Board::State::gave_up) throw PeerFailed(ErrorKind::stopped, "another rank failed; its message says why");
  }
  if (ended < 0) return;
  fail(ErrorKind::disagreement, "rank {} has ended, but rank {} calls {}; all ranks must make the same calls", watch_.first_rank + ended,
       watch_.first_rank + rank_, pending_.back().call.describe());
}

// Tells the others where this rank waits, and gives up when it has taken too long.
void HostCommunicator::check_time(std::chrono::steady_clock::time_point start) {
  const auto first = std::ranges::find_if(pending_, [](const Pending& pending) { return !pending.is_read; });
  const uint64_t sequence = first != pending_.end() ? first->sequence : pending_.empty() ? 0 : pending_.front().sequence;
  board_->wait_in(sequence);
  if (watch_.timeout_seconds <= 0 || sequence == 0) return;
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (seconds < watch_.timeout_seconds) return;
  std::vector<int> late;
  for (int r = 0; r < size_; ++r) {
    if (!(first != pending_.end() ? board_->has_posted(r, sequence) : board_->is_done(r, sequence))) late.push_back(r);
  }
  fail(ErrorKind::timeout, "{} for {:.0f} s (comm.timeout_seconds)", describe_ranks(*board_, watch_.first_rank, late, "is"), seconds);
}

// What ends without a word, and has not failed with a message of its own, is worth one.
void HostCommunicator::watch_peers() {
  std::vector<int64_t> processes;
  for (int r = 0; r < size_; ++r) processes.push_back(r == rank_ ? -1 : board_->process(r));
  peers_.emplace(processes, [this](int lost) {
    if (board_->state(lost) == Board::State::running) watch_.on_lost_rank(describe_ranks(*board_, watch_.first_rank, {lost}, "was lost"));
  });
}

void HostCommunicator::give_up(std::exception_ptr reason) noexcept {
  board_->leave(Board::State::gave_up);
  pending_.clear();
  if (!failure_) failure_ = reason;
}

bool HostCommunicator::all_in_windows(uint64_t sequence) const {
  for (int r = 0; r < size_; ++r) {
    if (board_->posting(r, sequence).place.window < 0) return false;
  }
  return true;
}

// `slice` is this rank's, of the sum of what all have put in.
void HostCommunicator::sum(uint64_t sequence, Span slice, const OnBlock& on_block) const {
  std::vector<Span> slices;
  for (int r = 0; r < size_; ++r) {
    const auto& posting = board_->posting(r, sequence);
    slices.push_back(Span{windows_->address_of(posting.place), posting.call.count, posting.call.dtype}.slice(rank_, size_));
  }
  at::parallel_for(0, (slice.count + kSumBlock - 1) / kSumBlock, kBlocksPerTask, [&](int64_t first, int64_t last) {
    const int64_t begin = first * kSumBlock, count = std::min(slice.count, last * kSumBlock) - begin;
    std::vector<const void*> parts;
    for (const Span& part : slices) parts.push_back(part.part(begin, count).data);
    const auto on_part = [&](int64_t at, Span values) { on_block(begin + at, values); };
    rank_sum(parts, slice.part(begin, count), on_block ? OnBlock(on_part) : OnBlock());
  });
}

void HostCommunicator::copy(uint64_t sequence, Span slice, Span full) const {
  if (!board_->posting(rank_, sequence).takes) return;
  for (int r = 0; r < size_; ++r) {
    copy_bytes(windows_->address_of(board_->posting(r, sequence).place), full.slice(r, size_).data, slice.bytes());
  }
}

}  // namespace zerorun
