#include "core/threads.h"

#include <ATen/Parallel.h>

#include "core/account.h"
#include "core/error.h"

namespace zerorun {

void set_compute_threads(int count) {
  ZR_CHECK(count >= 1, "{} compute threads, expected at least 1", count);
  at::set_num_threads(count);
  // Every master thread of libgomp keeps a team of its own, so a worker that follows this thread once does so for good.
  const auto* slot = detail::scope_slot();
  at::parallel_for(0, count, 1, [slot](int64_t, int64_t) { detail::follow_scopes_of(slot); });
}

int compute_threads() { return at::get_num_threads(); }

}  // namespace zerorun
