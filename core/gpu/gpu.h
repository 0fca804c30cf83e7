// GPUs, as far as the rest of zerorun needs to know them: no CUDA in this header. Where zerorun is built without CUDA, no_gpu.cpp stands for all of
// this folder: there is no GPU then, and what asks for one is a bug.
//
// A process computes on one GPU, on one stream: that of the thread that computes. What it launches runs in order; side streams (make_stream) run
// beside it, in order by events. Nothing here waits on the host but what says so.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/event.h"
#include "core/gpu/handle.h"
#include "core/stream.h"

namespace zerorun::gpu {

// Whether zerorun is built with CUDA, and with which: "CUDA 13.0, NCCL 2.28.9, sm_80 sm_90 compute_90"; empty where it is not.
std::string build();

struct Info {
  int index = 0;  // among those that the process may use (CUDA_VISIBLE_DEVICES)
  std::string name;
  int compute_major = 0, compute_minor = 0;
  int multiprocessors = 0;
  int64_t total_bytes = 0;
  std::string uuid;    // the same for all processes, whatever each may use
  std::string pci_bus;  // "0000:17:00.0"
};

// Those that this process may use. Where there is none, absence() says why: built without CUDA, no driver, a driver that is too old, none visible.
std::vector<Info> visible();
std::string absence();

struct StartOptions {
  int index = 0;
  bool deterministic = false;  // the same bits in every run: no kernel whose sums have no order
  bool tf32 = false;           // products of fp32 with 10 bits of mantissa
};

// From now on this process computes on that GPU. REQUIRES that nothing has used it before: what libraries read from the environment is set here.
// Once in the life of a process. Throws Error(configuration) where it cannot be used, with the reason.
struct Started {
  int64_t context = 0;    // bytes of the GPU in use with this process' context: its own and what others use
  int64_t workspace = 0;  // more, that cuBLAS took at its first calls and keeps
};
Started start(const StartOptions& options);

struct Memory {
  int64_t free = 0, total = 0;  // of the GPU, all processes together
};
Memory memory();
inline int64_t bytes_in_use() { return memory().total - memory().free; }

// Of the calling thread.
GpuStream current_stream();
// What the calling thread has launched so far. Event::wait() makes the thread that calls it launch what comes next behind it.
Event record();
// Blocks until what the calling thread has launched is done.
void synchronize();

// A stream beside: tasks run on a thread of its own, which launches their copies on a stream of the GPU. A task comes after what the thread that
// submits it has launched so far. Its event has happened when what it launched is done. What tasks compute on the host they compute with so many threads.
std::unique_ptr<Stream> make_stream(int threads = 1);

// In the order of the calling thread's stream; from or to host memory at full speed, and without a wait, where that is pinned.
void copy(const void* from, void* to, int64_t bytes);
// Rows of `row_bytes`, which lie `from_stride` and `to_stride` bytes apart.
void copy_rows(const void* from, int64_t from_stride, void* to, int64_t to_stride, int64_t row_bytes, int64_t rows);
void fill_zero(void* to, int64_t bytes);

// Makes pages of the host known to the GPU for as long as it lives. Throws Error(out_of_memory) where the system does not let them be locked.
class Pinned {
 public:
  Pinned(void* memory, int64_t bytes);
  ~Pinned();
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;

 private:
  void* memory_;
};

// Ends with Error(bug) what should not have come here.
[[noreturn]] void fail_absent();

}  // namespace zerorun::gpu
