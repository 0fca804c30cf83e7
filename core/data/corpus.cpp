#include "core/data/corpus.h"

#include <glob.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "core/error.h"
#include "core/random.h"

namespace zerorun {
namespace {

struct GlobResult {
  glob_t matches{};
  ~GlobResult() { ::globfree(&matches); }
};

// A file whose name happens to be a pattern is that file. Sorted by us: glob's order depends on the locale.
std::vector<std::string> expand(const std::string& pattern) {
  std::error_code none;
  if (std::filesystem::exists(pattern, none) || pattern.find_first_of("*?[") == std::string::npos) return {pattern};
  GlobResult result;
  const int status = ::glob(pattern.c_str(), GLOB_NOSORT | GLOB_ERR, nullptr, &result.matches);
  if (status == GLOB_NOMATCH) fail(ErrorKind::missing_input, "no data file matches {}", pattern);
  if (status != 0) fail(ErrorKind::missing_input, "cannot read the folders of data pattern {}", pattern);
  std::vector<std::string> paths(result.matches.gl_pathv, result.matches.gl_pathv + result.matches.gl_pathc);
  std::ranges::sort(paths);
  return paths;
}

}  // namespace

Corpus::Corpus(const std::vector<std::string>& paths, Format format) {
  ZR_CHECK(!paths.empty(), "a corpus without paths, expected one at least");
  for (const std::string& path : paths) append(path, format);
}

void Corpus::append(const std::string& pattern, Format format) {
  for (std::string& path : expand(pattern)) {
    files_.emplace_back(std::move(path), format);
    ends_.push_back((ends_.empty() ? 0 : ends_.back()) + files_.back().size());
  }
}

void Corpus::copy(int64_t first, int64_t count, int64_t* out) const {
  ZR_CHECK(first >= 0 && count >= 0 && count <= size() - first, "tokens {} + {} of a corpus of {}", first, count, size());
  auto file = static_cast<size_t>(std::ranges::upper_bound(ends_, first) - ends_.begin());
  while (count > 0) {
    const int64_t begin = first - (ends_[file] - files_[file].size());
    const int64_t here = std::min(count, ends_[file] - first);
    files_[file++].copy(begin, here, out);
    first += here;
    count -= here;
    out += here;
  }
}

uint64_t Corpus::fingerprint() const {
  constexpr int64_t kBlocks = 1024, kBlock = 1024;
  std::vector<int64_t> tokens(static_cast<size_t>(std::min(size(), kBlocks * kBlock)));
  const int64_t blocks = size() > kBlocks * kBlock ? kBlocks : 1, count = std::ssize(tokens) / blocks;
  for (int64_t b = 0; b < blocks; ++b) copy(blocks > 1 ? (size() - count) / (blocks - 1) * b : 0, count, tokens.data() + b * count);
  tokens.push_back(size());
  return stream_of({reinterpret_cast<const char*>(tokens.data()), tokens.size() * sizeof(int64_t)});
}

void Corpus::check_vocabulary(int64_t vocab_size) const {
  for (const TokenFile& file : files_) {
    const auto position = file.find_at_least(vocab_size);
    if (!position) continue;
    int64_t token = 0;
    file.copy(*position, 1, &token);
    fail(ErrorKind::bad_data,
         "data file {}: token {} at position {} is not below model.vocab_size {}; raise vocab_size or check data.format",
         file.path(), token, *position, vocab_size);
  }
}

Split open_split(const CorpusOptions& options) {
  const double fraction = options.validation_fraction;
  ZR_CHECK(0 <= fraction && fraction < 1, "validation fraction {}, expected 0 <= fraction < 1", fraction);
  ZR_CHECK(options.validation.empty() || fraction == 0, "validation files and a fraction of {}, expected one of them", fraction);
  const auto corpus = std::make_shared<const Corpus>(options.train, options.format);
  if (!options.validation.empty()) {
    const auto other = std::make_shared<const Corpus>(options.validation, options.format);
    return {{corpus, 0, corpus->size()}, {other, 0, other->size()}};
  }
  if (fraction == 0) return {{corpus, 0, corpus->size()}, {}};
  const auto held_out = static_cast<int64_t>(static_cast<double>(corpus->size()) * fraction);
  const int64_t kept = corpus->size() - held_out;
  return {{corpus, 0, kept}, {corpus, kept, held_out}};
}

}  // namespace zerorun
