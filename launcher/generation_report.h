// What `zerorun generate --json` prints.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace zerorun {

struct GenerationReport {
  int ranks = 1;
  std::vector<int64_t> prompt, tokens;
  bool context_full = false;
  int64_t cache_bytes = 0;             // of a rank
  double prefill_seconds = 0;          // to the first token
  std::vector<double> decode_seconds;  // of each token after it
};

// One line. README.md has the form; figures of decoding are null where only one token was generated.
std::string generation_json(const GenerationReport& report);

}  // namespace zerorun
