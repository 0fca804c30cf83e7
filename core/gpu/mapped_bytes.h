// How much memory of the GPU lies behind an address.
#pragma once
#include <cstdint>

namespace zerorun::gpu {

// Of the allocation, or mapping, that begins at `data`: whole, whatever was asked for.
int64_t mapped_bytes(const void* data);

}  // namespace zerorun::gpu
