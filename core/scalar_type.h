// LibTorch's dtypes by name alone, for sources that see nothing of LibTorch: kernels, and what is handed to them.
#pragma once
#include <cstdint>

namespace c10 {
enum class ScalarType : int8_t;
}

namespace zerorun {

// LibTorch's numbers for them; span.cpp holds them against its own.
inline constexpr auto kFp16 = static_cast<c10::ScalarType>(5), kFp32 = static_cast<c10::ScalarType>(6), kFp64 = static_cast<c10::ScalarType>(7),
                      kBf16 = static_cast<c10::ScalarType>(15);

}  // namespace zerorun
