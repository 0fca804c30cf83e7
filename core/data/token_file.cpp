#include "core/data/token_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <limits>
#include <span>
#include <utility>

#include "core/error.h"

namespace zerorun {
namespace {

static_assert(std::endian::native == std::endian::little, "uint16 tokens are read in place");

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

int64_t token_bytes_of(const std::string& path, Format format) {
  if (format == Format::automatic) format = path.ends_with(".bin") ? Format::tokens_uint16 : Format::bytes;
  return format == Format::bytes ? 1 : 2;
}

}  // namespace

TokenFile::TokenFile(std::string path, Format format) : path_(std::move(path)), token_bytes_(token_bytes_of(path_, format)) {
  map();
}

// O_NONBLOCK: opening a pipe must not wait for its writer.
void TokenFile::map() {
  const Descriptor file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) fail(ErrorKind::missing_input, "cannot open data file {}: {}", path_, system_message(errno));
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) fail(ErrorKind::io, "cannot examine data file {}: {}", path_, system_message(errno));
  if (!S_ISREG(status.st_mode))
    fail(ErrorKind::bad_data, "data file {} is not a regular file; give a file, a glob or a list", path_);
  if (status.st_size == 0) fail(ErrorKind::bad_data, "data file {} is empty", path_);
  if (status.st_size % token_bytes_ != 0)
    fail(ErrorKind::bad_data, "data file {} has {} bytes; tokens_uint16 needs an even number, text needs data.format: bytes",
         path_, status.st_size);
  void* data = ::mmap(nullptr, static_cast<size_t>(status.st_size), PROT_READ, MAP_SHARED, file.get(), 0);
  if (data == MAP_FAILED) fail(ErrorKind::io, "cannot map data file {}: {}", path_, system_message(errno));
  data_ = data;
  bytes_ = status.st_size;
}

TokenFile::~TokenFile() {
  if (data_) ::munmap(const_cast<void*>(data_), static_cast<size_t>(bytes_));
}

TokenFile::TokenFile(TokenFile&& other) noexcept
    : path_(std::move(other.path_)),
      token_bytes_(other.token_bytes_),
      bytes_(std::exchange(other.bytes_, 0)),
      data_(std::exchange(other.data_, nullptr)) {}

template <typename Visit>
auto TokenFile::visit(Visit&& visitor) const {
  const auto count = static_cast<size_t>(size());
  if (token_bytes_ == 1) return visitor(std::span(static_cast<const uint8_t*>(data_), count));
  return visitor(std::span(static_cast<const uint16_t*>(data_), count));
}

void TokenFile::copy(int64_t first, int64_t count, int64_t* out) const {
  ZR_CHECK(first >= 0 && count >= 0 && count <= size() - first, "tokens {} + {} of {}, which has {}", first, count, path_,
           size());
  visit([&](auto tokens) { std::copy_n(tokens.begin() + first, count, out); });
}

std::optional<int64_t> TokenFile::find_at_least(int64_t limit) const {
  return visit([&](auto tokens) -> std::optional<int64_t> {
    if (limit > std::numeric_limits<typename decltype(tokens)::value_type>::max()) return std::nullopt;
    const auto found = std::ranges::find_if(tokens, [&](int64_t token) { return token >= limit; });
    if (found == tokens.end()) return std::nullopt;
    return found - tokens.begin();
  });
}

}  // namespace zerorun
