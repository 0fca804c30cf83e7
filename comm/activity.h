// What a rank is doing, in words, for the message about a rank that hangs: "backward of transformer.h.3, step 12".
#pragma once
#include <algorithm>
#include <array>
#include <string_view>

namespace zerorun {

// A text of fixed size, which processes can share. What is too long is cut.
class Activity {
 public:
  static constexpr size_t kBytes = 96;

  Activity() = default;
  explicit Activity(std::string_view text) { std::copy_n(text.data(), std::min(text.size(), kBytes - 1), text_.data()); }

  std::string_view text() const { return text_.data(); }
  bool operator==(const Activity&) const = default;

 private:
  std::array<char, kBytes> text_{};
};

}  // namespace zerorun
