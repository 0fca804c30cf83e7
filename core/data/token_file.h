// A file of tokens, mapped into memory: pages come from the disk as they are read, and belong to the page cache, not to
// the process. REQUIRES that nobody shortens the file while it is open.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

namespace zerorun {

enum class Format {
  automatic,      // *.bin is tokens_uint16, everything else bytes
  bytes,          // a byte is a token, 0-255
  tokens_uint16,  // little-endian, no header
};

class TokenFile {
 public:
  // Throws missing_input (no such file, or it cannot be opened) or bad_data (not a regular file, empty, an odd number of bytes of
  // uint16 tokens).
  TokenFile(std::string path, Format format);
  ~TokenFile();
  TokenFile(TokenFile&& other) noexcept;
  TokenFile& operator=(TokenFile&&) = delete;

  const std::string& path() const { return path_; }
  int64_t size() const { return bytes_ / token_bytes_; }  // tokens
  // REQUIRES 0 <= first, first + count <= size().
  void copy(int64_t first, int64_t count, int64_t* out) const;
  // The position of the first token >= limit. Reads the whole file, or nothing where the format cannot hold such a token.
  std::optional<int64_t> find_at_least(int64_t limit) const;

 private:
  void map();
  template <typename Visit>
  auto visit(Visit&& visitor) const;

  std::string path_;
  int64_t token_bytes_;
  int64_t bytes_ = 0;
  const void* data_ = nullptr;
};

}  // namespace zerorun
