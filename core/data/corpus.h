// The text of a run: one or several files of tokens as one stream, and its split into training and validation.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/data/token_file.h"

namespace zerorun {

// Thread-safe: read only.
class Corpus {
 public:
  // Each entry is a path or a glob pattern; the files of a pattern come in byte order of their names. Throws missing_input (no
  // such file, no match) and bad_data, with the path. Costs a mapping per file.
  Corpus(const std::vector<std::string>& paths, Format format);

  int64_t size() const { return ends_.back(); }  // tokens
  // Tokens [first, first + count) of the stream. REQUIRES that they exist.
  void copy(int64_t first, int64_t count, int64_t* out) const;
  // Of its length and a million tokens spread over it, all where there are not more: to tell whether others read the same.
  uint64_t fingerprint() const;
  // Throws bad_data, with the file, the position and the token, at the first token >= vocab_size. Reads the whole corpus once,
  // unless its format cannot hold such a token.
  void check_vocabulary(int64_t vocab_size) const;

 private:
  void append(const std::string& pattern, Format format);

  std::vector<TokenFile> files_;
  std::vector<int64_t> ends_;  // of each file, in the stream
};

// Tokens [first, first + count) of a corpus. No corpus and no tokens: there is none.
struct TokenRange {
  std::shared_ptr<const Corpus> corpus;
  int64_t first = 0;
  int64_t count = 0;
};

struct Split {
  TokenRange train;
  TokenRange validation;
};

struct CorpusOptions {
  std::vector<std::string> train{};       // paths or glob patterns
  std::vector<std::string> validation{};  // likewise; empty: no files of their own
  double validation_fraction = 0;         // without validation files: the last floor(fraction * size) tokens of train
  Format format = Format::automatic;
};

// Opens the files. Throws as Corpus does. REQUIRES train is not empty, 0 <= validation_fraction < 1, and 0 beside validation
// files.
Split open_split(const CorpusOptions& options);

}  // namespace zerorun
