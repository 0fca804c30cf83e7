// Addresses on the GPU, backed by memory as far as they are needed. Private to core.
#pragma once
#include <memory>

#include "core/arena.h"

namespace zerorun::gpu {

// On the GPU that this process computes on: reserves as many addresses as it has memory, and maps 2 MiB at a time.
std::unique_ptr<detail::AddressStretch> make_stretch();

}  // namespace zerorun::gpu
