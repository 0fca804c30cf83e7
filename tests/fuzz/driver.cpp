// A main for a fuzz target where there is no libFuzzer: the seeds of a folder, then mutations of them that are the same
// every time, by their number or as many as a time allows. Prints how many inputs it ran; a target that crashes ends it, and leaves its last input in PROGRAM.crash.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using Bytes = std::vector<uint8_t>;

std::string crash_file;  // each program's own: several run in one folder

std::vector<Bytes> read_corpus(const std::string& folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<Bytes> corpus;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return corpus;
}

class Mutator {
 public:
  Mutator(const std::vector<Bytes>& corpus, bool has_length) : corpus_(corpus), has_length_(has_length) {}

  Bytes next() {
    Bytes bytes = corpus_[below(corpus_.size())];
    for (size_t i = 1 + below(4); i > 0; --i) change(bytes);
    if (has_length_ && below(2) == 0) set_length(bytes);
    return bytes;
  }

 private:
  size_t below(size_t bound) { return random_() % bound; }  // not std::uniform_int_distribution: its values differ by library
  size_t place(const Bytes& bytes) { return bytes.empty() ? 0 : below(bytes.size()); }

  const std::string& token() {
    static const std::string kTokens[] = {"{", "}", "[", "]", "\"", ",", ":", "0", "-1", "9223372036854775807", "18446744073709551616", "1e9",
                                          "null", "\\u0000", "\xff", " ", "\"F16\"", "\"BF16\"", "\"F4\"", "[0,0]", "\"__metadata__\":{}", "[4294967296,4294967296]",
                                          "true", "false", "1", "7", "0.5", "1e400", "\"\"", "\"..\"", "\"llama\"",
                                          "\n", "\n  ", "\n- ", "#", "~", ".inf", ".nan", "&a ", "*a", "!!int ", "|\n", "---\n", " 3", " nvme", " bf16", " 1GiB"};
    return kTokens[below(std::size(kTokens))];
  }

  void change(Bytes& bytes) {
    const auto at = bytes.begin() + static_cast<int64_t>(place(bytes));
    switch (below(8)) {
      case 0: if (!bytes.empty()) *at ^= static_cast<uint8_t>(1 << below(8)); break;
      case 1: if (!bytes.empty()) *at = static_cast<uint8_t>(below(256)); break;
      case 2: bytes.resize(place(bytes)); break;
      case 3: if (!bytes.empty()) bytes.erase(at); break;
      case 4: {
        const auto& inserted = token();
        bytes.insert(at, inserted.begin(), inserted.end());
        break;
      }
      case 5: if (!bytes.empty()) *at = static_cast<uint8_t>('0' + below(10)); break;
      case 6: {  // a piece of another seed
        const Bytes& other = corpus_[below(corpus_.size())];
        const size_t first = place(other), count = below(other.size() - first + 1);
        bytes.insert(at, other.begin() + static_cast<int64_t>(first), other.begin() + static_cast<int64_t>(first + count));
        break;
      }
      case 7: {  // another value for a key
        const auto begin = std::find(at, bytes.end(), static_cast<uint8_t>(':'));
        if (begin == bytes.end()) break;
        const std::string ends = ",}\n";
        const auto end = std::find_if(begin, bytes.end(), [&](uint8_t byte) { return ends.find(static_cast<char>(byte)) != std::string::npos; });
        const auto& value = token();
        bytes.insert(bytes.erase(begin + 1, end), value.begin(), value.end());
        break;
      }
    }
  }

  // A header whose length fits again gets further than one whose length does not.
  void set_length(Bytes& bytes) {
    if (bytes.size() < 8) return;
    const auto last = std::find(bytes.rbegin(), bytes.rend() - 8, static_cast<uint8_t>('}'));
    const auto length = static_cast<uint64_t>(std::distance(last, bytes.rend())) - 8;
    for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<uint8_t>(length >> (8 * i));
  }

  const std::vector<Bytes>& corpus_;
  const bool has_length_;
  std::mt19937_64 random_{1};
};

// Kept in a file while it runs: whatever ends the process leaves it there.
void run(const Bytes& input) {
  std::ofstream(crash_file, std::ios::binary | std::ios::trunc).write(reinterpret_cast<const char*>(input.data()), static_cast<std::streamsize>(input.size()));
  LLVMFuzzerTestOneInput(input.data(), input.size());
}

// "5000" is a number of mutations, "60s" the time for them.
class Budget {
 public:
  explicit Budget(const std::string& text) : count_(std::atoll(text.c_str())), timed_(text.ends_with('s')) {}
  bool allows(int64_t done) const { return timed_ ? std::chrono::steady_clock::now() - start_ < std::chrono::seconds(count_) : done < count_; }

 private:
  const int64_t count_;
  const bool timed_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace

int main(int argc, char** argv) {
  const bool has_length = argc == 4 && argv[3] == std::string("--length");
  if (argc != 3 && !has_length) {
    std::fprintf(stderr, "usage: %s CORPUS_FOLDER MUTATIONS|SECONDSs [--length: the first 8 bytes are the length of the JSON behind them]\n", argv[0]);
    return 64;
  }
  const auto corpus = read_corpus(argv[1]);
  if (corpus.empty()) return 66;
  crash_file = std::filesystem::path(argv[0]).filename().string() + ".crash";
  for (const auto& seed : corpus) run(seed);
  Mutator mutator(corpus, has_length);
  const Budget budget(argv[2]);
  int64_t mutations = 0;
  for (; budget.allows(mutations); ++mutations) run(mutator.next());
  std::filesystem::remove(crash_file);
  std::printf("%zu seeds and %lld mutations\n", corpus.size(), static_cast<long long>(mutations));
  return 0;
}
