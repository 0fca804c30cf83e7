#include "core/weights/safetensors.h"

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <vector>

#include "core/error.h"

namespace zerorun {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are read as they lie in the file");

// O_NONBLOCK: opening a pipe must not wait for its writer.
FileDescriptor open_for_reading(const std::string& path) {
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) fail(ErrorKind::missing_input, "cannot open the weights {}: {}", path, system_message(errno));
  return file;
}

int64_t size_of(const FileDescriptor& file, const std::string& path) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) fail(ErrorKind::io, "cannot examine {}: {}", path, system_message(errno));
  if (!S_ISREG(status.st_mode)) fail(ErrorKind::bad_data, "{} is not a regular file, expected a safetensors file", path);
  return status.st_size;
}

void read_bytes(const FileDescriptor& file, const std::string& path, int64_t place, void* out, int64_t bytes) {
  auto* data = static_cast<char*>(out);
  while (bytes > 0) {
    const ssize_t got = ::pread(file.get(), data, static_cast<size_t>(bytes), place);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(ErrorKind::io, "cannot read {}: {}", path, system_message(errno));
    if (got == 0) fail(ErrorKind::bad_data, "{} ends at byte {}, {} bytes before what is read there", path, place, bytes);
    data += got;
    place += got;
    bytes -= got;
  }
}

template <typename Stored>
void widen(const void* bytes, int64_t count, float* out) {
  const auto* values = static_cast<const Stored*>(bytes);
  std::copy(values, values + count, out);
}

}  // namespace

SafetensorsFile::SafetensorsFile(std::string path) : path_(std::move(path)), file_(open_for_reading(path_)) {
  const int64_t bytes = size_of(file_, path_);
  if (bytes < kHeaderLengthBytes) {
    fail(ErrorKind::bad_data, "{} has {} bytes, expected at least the {} of the header's length", path_, bytes, kHeaderLengthBytes);
  }
  uint64_t length = 0;
  read_bytes(file_, path_, 0, &length, sizeof(length));
  const auto rest = static_cast<uint64_t>(bytes - kHeaderLengthBytes);
  if (length > kMostHeaderBytes) {
    fail(ErrorKind::bad_data, "{}: the header's length is {}, expected at most {}: this is no safetensors file", path_, length, kMostHeaderBytes);
  }
  if (length > rest) fail(ErrorKind::bad_data, "{}: the header's length is {}, but {} bytes follow it (is the file cut short?)", path_, length, rest);
  std::string text(length, '\0');
  read_bytes(file_, path_, kHeaderLengthBytes, text.data(), static_cast<int64_t>(length));
  header_ = parse_safetensors_header(text, static_cast<int64_t>(rest - length), path_);
  data_begin_ = kHeaderLengthBytes + static_cast<int64_t>(length);
}

void SafetensorsFile::read(const std::string& name, int64_t first, int64_t count, float* out) const {
  const auto found = header_.tensors.find(name);
  ZR_CHECK(found != header_.tensors.end(), "{} has no tensor {}", path_, name);
  const auto& tensor = found->second;
  ZR_CHECK(first >= 0 && count >= 0 && first <= tensor.count() - count, "elements [{}, {}) of {}, which has {}", first, first + count, name,
           tensor.count());
  if (tensor.dtype == Dtype::f32) {
    const auto width = static_cast<int64_t>(sizeof(float));
    return read_bytes(file_, path_, data_begin_ + tensor.begin + first * width, out, count * width);
  }
  if (tensor.dtype != Dtype::f16 && tensor.dtype != Dtype::bf16) {
    fail(ErrorKind::bad_data, "{}: tensor {} is of {}, expected F32, F16 or BF16", path_, name, name_of(tensor.dtype));
  }
  constexpr int64_t kChunk = 1 << 16;  // elements
  std::vector<uint16_t> stored(static_cast<size_t>(std::min(count, kChunk)));
  for (int64_t done = 0; done < count; done += kChunk) {
    const int64_t now = std::min(kChunk, count - done);
    read_bytes(file_, path_, data_begin_ + tensor.begin + (first + done) * 2, stored.data(), now * 2);
    if (tensor.dtype == Dtype::f16) widen<c10::Half>(stored.data(), now, out + done);
    else widen<c10::BFloat16>(stored.data(), now, out + done);
  }
}

}  // namespace zerorun
