#include "comm/stream.h"

#include <gtest/gtest.h>

#include <vector>

namespace zerorun {
namespace {

TEST(Stream, CopiesAnyLengthFromAnyPlaceToAnyAndNothingElse) {
  constexpr int64_t kGuard = 64;
  for (const int64_t bytes : {0, 1, 63, 64, 65, 1000, (16 << 10) + 5, (64 << 10) - 1, 300001}) {
    for (const int64_t shift : {0, 1, 31, 63}) {
      std::vector<unsigned char> from(static_cast<size_t>(bytes + 64)), to(static_cast<size_t>(bytes + 64 + 2 * kGuard), 0xee);
      for (size_t i = 0; i < from.size(); ++i) from[i] = static_cast<unsigned char>(i * 7 % 251);
      const int64_t begin = kGuard + (shift * 3) % 64;
      stream(from.data() + shift, to.data() + begin, bytes);
      stream_end();
      for (int64_t i = 0; i < std::ssize(to); ++i) {
        const bool inside = i >= begin && i < begin + bytes;
        ASSERT_EQ(to[static_cast<size_t>(i)], inside ? from[static_cast<size_t>(shift + i - begin)] : 0xee) << bytes << " bytes, byte " << i - begin;
      }
    }
  }
}

}  // namespace
}  // namespace zerorun
