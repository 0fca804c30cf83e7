// The kinds of collectives, and what every backend checks of their arguments before it starts one.
#pragma once
#include <initializer_list>
#include <string>
#include <vector>

#include "comm/communicator.h"

namespace zerorun {

enum class Collective : int { all_gather, reduce_scatter, all_reduce, exchange };

const char* name_of(Collective collective);

// What ranks that meet in a collective must agree on.
struct Call {
  Collective kind = Collective::exchange;
  at::ScalarType dtype = at::kByte;
  int64_t count = 0;  // elements of what a rank puts in
  Activity activity{};  // that it belongs to, where ranks tell

  bool operator==(const Call&) const = default;
  std::string describe() const;
};

struct CallOfRank {
  int rank;
  Call call;
};

// Throws Error(disagreement), which says who calls what. The calls that most ranks make come first.
[[noreturn]] void fail_disagreement(const std::vector<CallOfRank>& calls);
// The same where they are not equal.
void check_agreement(const std::vector<CallOfRank>& calls);

// A span handed to a broken REQUIRES of communicator.h throws an Error of kind bug: sizes that do not fit, another dtype,
// a slice that overlaps `full` without being the own one, too little scratch, a dtype that cannot be summed.
void check_all_gather(const Communicator& communicator, Span slice, Span full);
void check_reduce_scatter(const Communicator& communicator, Span full, Span slice, Span scratch);
void check_all_reduce(const Communicator& communicator, Span full, Span scratch);
void check_exchange(const void* mine, const void* all, int64_t bytes);
// For backends that move bytes: a span without data is one of the meta device.
void check_data(Span span);
// For backends of a GPU: spans of another side, or an on_block, which would see their memory.
void check_on_gpu(std::initializer_list<Span> spans, const OnBlock& on_block = {});

}  // namespace zerorun
