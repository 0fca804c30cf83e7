// A JSON file as a tree: one value, valid UTF-8, no key twice, no deeper than kJsonDepth.
#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace zerorun {

inline constexpr int kJsonDepth = 32;
inline constexpr int64_t kMostJsonBytes = 100'000'000;

// Throws Error(missing_input) where the file is not there or cannot be opened, Error(bad_data) where it is not such a
// value, or larger than kMostJsonBytes; Error(io) where the disk fails. Messages begin with the path.
nlohmann::json read_json_file(const std::string& path);

// The same from a text. `path` is for messages only.
nlohmann::json parse_json(const std::string& text, const std::string& path);

}  // namespace zerorun
