#include <cstdlib>

#include "tests/gpu/device_buffer.h"
#include "tests/gpu/emulation/order.h"

namespace zerorun::device {

void* allocate(int64_t bytes) { return std::aligned_alloc(256, static_cast<size_t>((bytes + 255) / 256 * 256)); }
void release(void* memory) noexcept { std::free(memory); }
void copy(const void* from, void* to, int64_t bytes) { std::memcpy(to, from, static_cast<size_t>(bytes)); }
void set_order(unsigned int seed) { emulation::set_order(seed); }

}  // namespace zerorun::device
