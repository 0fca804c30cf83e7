#include "comm/collective.h"

#include <algorithm>
#include <functional>

#include "comm/rank_sum.h"
#include "comm/rank_words.h"
#include "core/error.h"

namespace zerorun {
namespace {

void check_slices(const Communicator& communicator, Span full, Span slice) {
  ZR_CHECK(slice.count >= 0 && full.count == slice.count * communicator.size(), "{} elements are not {} slices of {} elements",
           full.count, communicator.size(), slice.count);
  ZR_CHECK(full.dtype == slice.dtype, "the slice is {}, the whole is {}", c10::toString(slice.dtype), c10::toString(full.dtype));
  if (!full.data || !slice.data) return;
  const char* begin = static_cast<const char*>(full.data);
  const char* own = static_cast<const char*>(slice.data);
  const bool apart = own + slice.bytes() <= begin || begin + full.bytes() <= own;
  ZR_CHECK(apart || own == full.slice(communicator.rank(), communicator.size()).data,
           "the slice overlaps the whole without being slice {} of it", communicator.rank());
}

void check_scratch(const Communicator& communicator, Span slice, Span scratch) {
  ZR_CHECK(can_rank_sum(slice.dtype), "{} cannot be summed over ranks; expected float, double, bfloat16 or half",
           c10::toString(slice.dtype));
  const int64_t needed = communicator.reduce_scratch_bytes(slice.count, slice.dtype);
  ZR_CHECK(scratch.bytes() >= needed, "the scratch has {} bytes, reduce_scratch_bytes() says {}", scratch.bytes(), needed);
}

}  // namespace

const char* name_of(Collective collective) {
  constexpr const char* kNames[] = {"all_gather", "reduce_scatter", "all_reduce", "exchange"};
  return kNames[static_cast<int>(collective)];
}

std::string Call::describe() const {
  const auto text = fmt::format("{} of {} x {}", name_of(kind), count, c10::toString(dtype));
  return activity.text().empty() ? text : fmt::format("{} ({})", text, activity.text());
}

void check_agreement(const std::vector<CallOfRank>& calls) {
  const bool agree = std::ranges::all_of(calls, [&](const CallOfRank& of) { return of.call == calls[0].call; });
  if (!agree) fail_disagreement(calls);
}

void fail_disagreement(const std::vector<CallOfRank>& calls) {
  struct Camp {
    Call call;
    std::vector<int> ranks;
  };
  std::vector<Camp> camps;
  for (const auto& [rank, call] : calls) {
    auto own = std::ranges::find(camps, call, &Camp::call);
    if (own == camps.end()) own = camps.insert(camps.end(), {call, {}});
    own->ranks.push_back(rank);
  }
  std::ranges::stable_sort(camps, std::ranges::greater(), [](const Camp& camp) { return camp.ranks.size(); });
  std::string text;
  for (const Camp& camp : camps) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", ranks_that(camp.ranks, "calls", "call"), camp.call.describe());
  fail(ErrorKind::disagreement, "ranks disagree: {}; all ranks must make the same calls", text);
}

void check_all_gather(const Communicator& communicator, Span slice, Span full) { check_slices(communicator, full, slice); }

void check_reduce_scatter(const Communicator& communicator, Span full, Span slice, Span scratch) {
  check_slices(communicator, full, slice);
  check_scratch(communicator, slice, scratch);
}

void check_all_reduce(const Communicator& communicator, Span full, Span scratch) {
  check_scratch(communicator, full.slice(communicator.rank(), communicator.size()), scratch);
}

void check_exchange(const void* mine, const void* all, int64_t bytes) {
  ZR_CHECK(bytes >= 0 && (bytes == 0 || (mine && all)), "exchange of {} bytes without memory for them", bytes);
}

void check_data(Span span) {
  ZR_CHECK(span.data || span.count == 0, "a span of {} elements has no data, but this backend moves bytes", span.count);
}

void check_on_gpu(std::initializer_list<Span> spans, const OnBlock& on_block) {
  ZR_CHECK(!on_block, "a sum in memory of a GPU was asked to show its blocks, which the host cannot see; expected no on_block");
  for (const Span& span : spans) {
    check_data(span);
    ZR_CHECK(span.count == 0 || span.side == Side::gpu, "a span of {} elements of the host, but this backend moves memory of the GPU", span.count);
  }
}

}  // namespace zerorun
