// LibTorch's allocator for CUDA, over the arenas of the ledgers: every block is charged to the scope of the calling thread and lies in that
// ledger's arena on the GPU. So what a run reserves is the highest end of its blocks, which the dry run knows to the byte, and not what a cache of
// freed blocks happens to hold. Memory of a freed block is used again at once: REQUIRES that a thread allocates and computes on one stream, and
// that what runs beside works on memory that lives until its event.
#pragma once

namespace zerorun::gpu {

// In place of LibTorch's own, for the life of the process. REQUIRES that that has given out nothing yet.
void install_allocator(int index);

}  // namespace zerorun::gpu
