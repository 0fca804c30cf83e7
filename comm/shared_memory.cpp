#include "comm/shared_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/error.h"

namespace zerorun {
namespace {

char* map(int descriptor, int64_t bytes) {
  void* data = mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (data == MAP_FAILED) {
    fail(ErrorKind::out_of_memory, "no address space for {} bytes that ranks share: {}", bytes, system_message(errno));
  }
  return static_cast<char*>(data);
}

}  // namespace

SharedMemory SharedMemory::create(int64_t bytes) {
  SharedMemory memory;
  if (bytes == 0) return memory;
  memory.descriptor_ = memfd_create("zerorun", MFD_CLOEXEC);
  if (memory.descriptor_ < 0 || ftruncate(memory.descriptor_, bytes) != 0) {
    fail(ErrorKind::out_of_memory, "no memory for {} bytes that ranks share: {}", bytes, system_message(errno));
  }
  memory.data_ = map(memory.descriptor_, bytes);
  memory.bytes_ = bytes;
  return memory;
}

SharedMemory SharedMemory::open(const Handle& handle) {
  SharedMemory memory;
  if (handle.bytes == 0) return memory;
  const auto path = fmt::format("/proc/{}/fd/{}", handle.process, handle.descriptor);
  memory.descriptor_ = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (memory.descriptor_ < 0) {
    fail(ErrorKind::configuration, "cannot share memory with process {} of this host ({}: {}); expected ranks of one user that see each other in /proc",
         handle.process, path, system_message(errno));
  }
  memory.data_ = map(memory.descriptor_, handle.bytes);
  memory.bytes_ = handle.bytes;
  return memory;
}

SharedMemory& SharedMemory::operator=(SharedMemory&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

SharedMemory::~SharedMemory() {
  close_descriptor();
  if (data_) munmap(data_, static_cast<size_t>(bytes_));
}

SharedMemory::Handle SharedMemory::handle() const { return {getpid(), descriptor_, bytes_}; }

void SharedMemory::reserve(int64_t offset, int64_t bytes) {
  if (bytes == 0) return;
  ZR_CHECK(descriptor_ >= 0 && offset >= 0 && offset + bytes <= bytes_, "{} bytes at {} of {} shared bytes", bytes, offset, bytes_);
  const int status = posix_fallocate(descriptor_, offset, bytes);
  if (status != 0) fail(ErrorKind::out_of_memory, "no memory for {} bytes that ranks share: {}", bytes, system_message(status));
}

void SharedMemory::close_descriptor() {
  if (descriptor_ >= 0) close(std::exchange(descriptor_, -1));
}

}  // namespace zerorun
