#include "core/weights/safetensors_writer.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/error.h"

namespace zerorun {
namespace {

bool is_disk_error(int error) { return error == ENOSPC || error == EDQUOT || error == EIO || error == EFBIG; }

FileDescriptor create(const std::string& path) {
  FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (file.get() < 0) {
    fail(is_disk_error(errno) ? ErrorKind::io : ErrorKind::cannot_create, "cannot create {}: {}", path, system_message(errno));
  }
  return file;
}

[[noreturn]] void fail_to_write(const std::string& path) { fail(ErrorKind::io, "cannot write {}: {}", path, system_message(errno)); }

void write_bytes(const FileDescriptor& file, const std::string& path, const void* data, int64_t bytes) {
  const auto* rest = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t done = ::write(file.get(), rest, static_cast<size_t>(bytes));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail_to_write(path);
    rest += done;
    bytes -= done;
  }
}

// The name of a new file is on the disk when its folder is.
void synchronise_folder_of(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  const FileDescriptor file(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (file.get() >= 0 && ::fsync(file.get()) != 0 && is_disk_error(errno)) fail_to_write(folder);
}

void put_in_place(FileDescriptor& file, const std::string& beside, const std::string& path) {
  if (::fsync(file.get()) != 0 && is_disk_error(errno)) fail_to_write(beside);  // others: a file system that cannot
  if (::close(file.release()) != 0) fail_to_write(beside);
  if (std::rename(beside.c_str(), path.c_str()) != 0) fail_to_write(path);
  synchronise_folder_of(path);
}

// The header's text and the bytes of all tensors.
std::pair<std::string, int64_t> header_of(const std::vector<TensorDeclaration>& tensors) {
  nlohmann::ordered_json header{{"__metadata__", {{"format", "pt"}}}};
  int64_t end = 0;
  for (const auto& declaration : tensors) {
    const auto count = elements_of(declaration.shape);
    const int64_t begin = end;
    int64_t bits = 0;
    ZR_CHECK(!header.contains(declaration.name), "tensor {} is declared twice", declaration.name);
    ZR_CHECK(count && !__builtin_mul_overflow(*count, bits_of(declaration.dtype), &bits) && bits % 8 == 0 &&
                 !__builtin_add_overflow(begin, bits / 8, &end),
             "tensor {} of shape {} cannot be written", declaration.name, shape_text(declaration.shape));
    header[declaration.name] = {{"dtype", name_of(declaration.dtype)}, {"shape", declaration.shape}, {"data_offsets", {begin, end}}};
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return {std::move(text), end};
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(std::string path, const std::vector<TensorDeclaration>& tensors)
    : path_(std::move(path)), beside_(path_ + ".partial") {
  const auto [header, bytes] = header_of(tensors);
  ZR_CHECK(header.size() <= kMostHeaderBytes, "{}: a header of {} bytes, expected at most {}", path_, header.size(), kMostHeaderBytes);
  file_ = create(beside_);
  left_ = bytes;
  const uint64_t length = header.size();
  try {
    write_bytes(file_, beside_, &length, sizeof(length));
    write_bytes(file_, beside_, header.data(), static_cast<int64_t>(header.size()));
  } catch (...) {
    std::remove(beside_.c_str());
    throw;
  }
}

SafetensorsWriter::~SafetensorsWriter() {
  if (!finished_) std::remove(beside_.c_str());
}

void SafetensorsWriter::write(const void* data, int64_t bytes) {
  ZR_CHECK(bytes <= left_, "{}: {} bytes more to write, expected at most {}", path_, bytes, left_);
  write_bytes(file_, beside_, data, bytes);
  left_ -= bytes;
}

void SafetensorsWriter::finish() {
  ZR_CHECK(left_ == 0, "{}: {} bytes of its tensors were not written", path_, left_);
  put_in_place(file_, beside_, path_);
  finished_ = true;
}

void write_whole(const std::string& path, std::string_view text) {
  const std::string beside = path + ".partial";
  FileDescriptor file = create(beside);
  try {
    write_bytes(file, beside, text.data(), static_cast<int64_t>(text.size()));
    put_in_place(file, beside, path);
  } catch (...) {
    std::remove(beside.c_str());
    throw;
  }
}

}  // namespace zerorun
