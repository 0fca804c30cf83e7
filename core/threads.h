// The compute threads of a rank.
#pragma once

namespace zerorun {

// This thread computes with `count` threads (itself included) from now on, and what its workers allocate is charged to
// this thread's memory scope. Call it on every rank thread, before its first operation. REQUIRES count >= 1.
void set_compute_threads(int count);
int compute_threads();

}  // namespace zerorun
