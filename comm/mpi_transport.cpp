#include "comm/mpi_transport.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <string>

#include "comm/backoff.h"
#include "comm/rank_sum.h"
#include "comm/rank_words.h"
#include "core/error.h"

namespace zerorun {
namespace {

// MPI counts are int: longer spans travel as several messages.
constexpr int64_t kMessageBytes = 16 << 20;

// A tag is the collective, the dtype, and as much of a hash of the activity as MPI has room for: a rank that skipped a collective is
// noticed at its next.
constexpr int kDtypes = 64, kCollectives = 4, kCalls = kDtypes * kCollectives;

// Only the world knows: a communicator that was split off has no such attribute.
int most_tags() {
  int* last = nullptr;
  int is_there = 0;
  MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, &last, &is_there);
  return is_there ? *last : 32767;  // what every MPI has
}

int tag_of(const Call& call) {
  static const int activities = most_tags() / kCalls;
  const auto activity = static_cast<int>(std::hash<std::string_view>()(call.activity.text()) % static_cast<size_t>(activities));
  return (activity * kCollectives + static_cast<int>(call.kind)) * kDtypes + static_cast<int>(call.dtype);
}

std::string describe(int tag, int64_t bytes) {
  return fmt::format("{} of {} bytes of {}", name_of(static_cast<Collective>(tag / kDtypes % kCollectives)), bytes,
                     c10::toString(static_cast<at::ScalarType>(tag % kDtypes)));
}

void check_mpi(int status, const char* call) {
  if (status == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(status, text, &length);
  fail(ErrorKind::io, "{} failed: {}", call, text);
}

}  // namespace

MpiMessages::MpiMessages(MPI_Comm communicator, const Call& call, const WaitLimits& limits)
    : communicator_(communicator), call_(call), tag_(tag_of(call)), limits_(limits) {}

void MpiMessages::send(int peer, const void* data, int64_t bytes) {
  MPI_Request request = MPI_REQUEST_NULL;
  check_mpi(MPI_Isend(data, static_cast<int>(bytes), MPI_BYTE, peer, tag_, communicator_, &request), "MPI_Isend");
  requests_.push_back(request);
  expected_.push_back({false, peer, bytes});
}

void MpiMessages::receive(int peer, void* data, int64_t bytes) {
  MPI_Request request = MPI_REQUEST_NULL;
  check_mpi(MPI_Irecv(data, static_cast<int>(bytes), MPI_BYTE, peer, MPI_ANY_TAG, communicator_, &request), "MPI_Irecv");
  requests_.push_back(request);
  expected_.push_back({true, peer, bytes});
}

void MpiMessages::wait() {
  const int total = static_cast<int>(requests_.size());
  std::vector<int> completed(requests_.size());
  std::vector<MPI_Status> statuses(requests_.size());
  Backoff backoff(20, 80, std::chrono::microseconds(20));
  const auto start = std::chrono::steady_clock::now();
  for (int done = 0; done < total;) {
    int now = 0;
    const int result = MPI_Testsome(total, requests_.data(), &now, completed.data(), statuses.data());
    const bool has_error = result == MPI_ERR_IN_STATUS;
    if (!has_error) check_mpi(result, "MPI_Testsome");
    for (int i = 0; i < now; ++i) check_completed(completed[i], statuses[i], has_error);
    done += now;
    if (done < total && limits_.abandoned) abandon();
    if (done < total && limits_.timeout_seconds > 0 && std::chrono::steady_clock::now() - start > std::chrono::duration<double>(limits_.timeout_seconds)) {
      fail_for_time();
    }
    now > 0 ? backoff.reset() : backoff.pause();
  }
  requests_.clear();
  expected_.clear();
}

void MpiMessages::cancel_receives() {
  for (size_t i = 0; i < requests_.size(); ++i) {
    if (expected_[i].incoming && requests_[i] != MPI_REQUEST_NULL) MPI_Cancel(&requests_[i]);
  }
}

void MpiMessages::abandon() {
  cancel_receives();
  throw PeerFailed(ErrorKind::stopped, "this rank gave up the collective before its peers joined it");
}

void MpiMessages::fail_for_time() {
  std::vector<int> late;
  for (size_t i = 0; i < requests_.size(); ++i) {
    if (requests_[i] != MPI_REQUEST_NULL) late.push_back(limits_.names.number_of(expected_[i].peer));
  }
  std::ranges::sort(late);
  late.erase(std::ranges::unique(late).begin(), late.end());
  cancel_receives();
  fail(ErrorKind::timeout, "{} come to {} for {:.0f} s (comm.timeout_seconds)", ranks_that(late, "has not", "have not"), call_.describe(),
       limits_.timeout_seconds);
}

void MpiMessages::check_completed(int index, const MPI_Status& status, bool has_error) const {
  const Expected& expected = expected_[static_cast<size_t>(index)];
  const bool longer = has_error && status.MPI_ERROR == MPI_ERR_TRUNCATE;
  if (has_error && !longer) check_mpi(status.MPI_ERROR, expected.incoming ? "MPI_Irecv" : "MPI_Isend");
  if (!expected.incoming) return;
  int bytes = 0;
  MPI_Get_count(&status, MPI_BYTE, &bytes);
  if (longer || status.MPI_TAG != tag_ || bytes != expected.bytes) {
    int own = 0;
    MPI_Comm_rank(communicator_, &own);
    const bool is_elsewhere = status.MPI_TAG / kCalls != tag_ / kCalls;
    fail(ErrorKind::disagreement, "ranks disagree: rank {} calls {} and expects {} bytes, rank {} calls {}{}{}; all ranks must make the same calls",
         limits_.names.number_of(own), call_.describe(), expected.bytes, limits_.names.number_of(expected.peer), longer ? "more, " : "",
         describe(status.MPI_TAG, bytes), is_elsewhere ? ", in something else" : "");
  }
}

MpiTransport::MpiTransport(int communicator, WaitLimits limits, RankSubset slices) : limits_(limits), slices_(slices) {
  check_mpi(MPI_Comm_dup(MPI_Comm_f2c(communicator), &communicator_), "MPI_Comm_dup");
  check_mpi(MPI_Comm_set_errhandler(communicator_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  check_mpi(MPI_Comm_rank(communicator_, &rank_), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(communicator_, &size_), "MPI_Comm_size");
}

MpiTransport::~MpiTransport() { MPI_Comm_free(&communicator_); }

void MpiTransport::gather(const Call& call, Span slice, Span full) {
  MpiMessages messages(communicator_, call, limits_);
  const int64_t bytes = slice.bytes();
  for (int64_t begin = 0; begin < bytes; begin += kMessageBytes) {
    const int64_t length = std::min(kMessageBytes, bytes - begin);
    for (int step = 1; step < size_; ++step) {
      const int from = (rank_ + size_ - step) % size_;
      messages.receive(from, static_cast<char*>(slice_of(full, from).data) + begin, length);
      messages.send((rank_ + step) % size_, static_cast<const char*>(slice.data) + begin, length);
    }
  }
  const Span own = slice_of(full, rank_);
  if (own.data != slice.data && bytes > 0) std::memcpy(own.data, slice.data, static_cast<size_t>(bytes));
  messages.wait();
}

void MpiTransport::reduce(const Call& call, Span full, Span slice, void* scratch, int64_t piece_bytes) {
  if (slice.count == 0) return;
  const int64_t piece = piece_bytes / static_cast<int64_t>(c10::elementSize(full.dtype));
  const int64_t rounds = (slice.count + piece - 1) / piece;
  const MpiMessages none(communicator_, call, limits_);
  Round in_flight[2] = {{none, static_cast<char*>(scratch)}, {none, static_cast<char*>(scratch) + size_ * piece_bytes}};
  const auto start = [&](int64_t round) { send_pieces(in_flight[round % 2], full, round * piece, piece); };
  const auto finish = [&](int64_t round) { sum_pieces(in_flight[round % 2], full, slice, round * piece, piece); };
  start(0);
  for (int64_t round = 1; round < rounds; ++round) {
    start(round);
    finish(round - 1);
  }
  finish(rounds - 1);
}

void MpiTransport::send_pieces(Round& round, Span full, int64_t begin, int64_t piece) {
  for (int step = 1; step < size_; ++step) {
    const int from = (rank_ + size_ - step) % size_, to = (rank_ + step) % size_;
    const Span outgoing = slice_of(full, to).part(begin, piece);
    round.messages.receive(from, round.arrival(from, piece, full.dtype), outgoing.bytes());
    round.messages.send(to, outgoing.data, outgoing.bytes());
  }
}

void MpiTransport::sum_pieces(Round& round, Span full, Span slice, int64_t begin, int64_t piece) {
  round.messages.wait();
  std::vector<const void*> parts;
  for (int r = 0; r < size_; ++r) {
    const void* own = slice_of(full, rank_).part(begin, piece).data;
    parts.push_back(r == rank_ ? own : round.arrival(r, piece, full.dtype));
  }
  rank_sum(parts, slice.part(begin, piece));
}

}  // namespace zerorun
