#include "offload/disk_store.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>

#include "core/error.h"

namespace zerorun {
namespace {

// -1 and errno where it cannot be had. Some file systems (overlays among them) have no files without names: one that is removed at once is as good.
int open_nameless(const std::string& folder, int flags) {
  const int file = open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC | flags, 0600);
  if (file >= 0 || (errno != EOPNOTSUPP && errno != EISDIR)) return file;
  std::string name = folder + "/zerorun-XXXXXX";
  const int named = mkostemp(name.data(), O_CLOEXEC | flags);
  const int error = errno;
  if (named >= 0 || error == EINVAL) unlink(name.c_str());  // where direct access is refused the file has been made
  errno = error;
  return named;
}

void append(std::string& note, const std::string& more) { note += (note.empty() ? "" : "; ") + more; }

}  // namespace

DiskStore::DiskStore(const std::string& folder, int64_t bytes, MemoryLedger& ledger, const DiskStoreOptions& options)
    : folder_(folder), ledger_(ledger), bytes_(in_store_units(bytes)) {
  open_file();
  try {
    take_space();
    choose_io(options);
  } catch (...) {
    close(file_);
    throw;
  }
  ledger_.charge(Category::disk, bytes_);
}

DiskStore::~DiskStore() {
  io_.reset();
  close(file_);
  ledger_.charge(Category::disk, -bytes_);
}

void DiskStore::open_file() {
  file_ = open_nameless(folder_, O_DIRECT);
  if (file_ < 0 && errno == EINVAL) {
    file_ = open_nameless(folder_, 0);
    append(note_, "its file system has no direct access (O_DIRECT), so the page cache takes memory beside");
  }
  if (file_ < 0) {
    fail(ErrorKind::cannot_create, "offload path {}: {}; expected a folder on a local disk in which this user may make files", folder_, system_message(errno));
  }
}

void DiskStore::take_space() {
  struct statfs system;
  if (fstatfs(file_, &system) == 0 && system.f_type == TMPFS_MAGIC) {
    fail(ErrorKind::configuration, "offload path {} is tmpfs, which is memory; name a folder on a disk, or offload to device: cpu", folder_);
  }
  if (bytes_ == 0) return;
  const int error = posix_fallocate(file_, 0, bytes_);
  if (error == 0) return;
  const auto free_bytes = fstatfs(file_, &system) == 0 ? static_cast<int64_t>(system.f_bavail) * system.f_bsize : 0;
  fail(ErrorKind::io, "offload path {}: {} bytes cannot be taken: {} ({} bytes are free); make room, or offload less", folder_, bytes_, system_message(error),
       free_bytes);
}

void DiskStore::choose_io(const DiskStoreOptions& options) {
  if (options.may_use_uring) {
    try {
      io_ = make_uring_io(file_, options.blocks);
      return;
    } catch (const std::system_error& error) {
      append(note_, fmt::format("io_uring cannot be used ({}), so threads read and write, which is slower", system_message(error.code().value())));
    }
  }
  io_ = make_threaded_io(file_, options.blocks);
}

std::string DiskStore::note() const {
  std::string note = note_;
  if (!memory_note_.empty()) append(note, memory_note_);
  return note.empty() ? "" : "offload path " + folder_ + ": " + note;
}

void DiskStore::use_memory(std::span<std::byte> memory) {
  const int error = io_->use_memory(memory);
  memory_note_ = error ? fmt::format("its buffers cannot be locked in memory ({}), so they are for each move; the limit of locked memory is that of ulimit -l", system_message(error)) : "";
}

void DiskStore::read(Extents to) { move(to, &BlockIo::read, "read"); }

void DiskStore::write(Extents from) { move(from, &BlockIo::write, "written"); }

void DiskStore::move(Extents extents, void (BlockIo::*way)(Extents), const char* verb) {
  check_extents(*this, extents);
  try {
    (io_.get()->*way)(extents);
  } catch (const std::system_error& error) {
    size_t bytes = 0;
    for (const auto& extent : extents) bytes += extent.memory.size();
    fail(ErrorKind::io, "offload path {}: {} bytes at {} cannot be {}: {}; the disk may be failing", folder_, bytes, extents.front().offset, verb,
         system_message(error.code().value()));
  }
}

}  // namespace zerorun
