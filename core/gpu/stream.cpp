#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <mutex>

#include "core/gpu/cuda_check.h"
#include "core/gpu/gpu.h"

namespace zerorun::gpu {
namespace {

// Makes a GPU the calling thread's, and throws nothing: after a fault of the GPU too events are asked, and go.
class OnDevice {
 public:
  explicit OnDevice(c10::DeviceIndex device) {
    if (cudaGetDevice(&before_) == cudaSuccess && before_ != device) static_cast<void>(cudaSetDevice(device));
  }
  ~OnDevice() { static_cast<void>(c10::cuda::MaybeSetDevice(static_cast<c10::DeviceIndex>(before_))); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  int before_ = 0;
};

// A point in the order of a stream of the GPU. Threads that never chose a GPU ask for it too: CUDA would make them a context on the first.
class Mark final : public Event::State {
 public:
  Mark() : device_(c10::cuda::current_device()) {
    check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "making an event");
    const auto error = cudaEventRecord(event_, current_stream());
    if (error != cudaSuccess) static_cast<void>(cudaEventDestroy(event_));
    check(error, "recording an event");
  }
  ~Mark() override {
    const OnDevice here(device_);
    static_cast<void>(cudaEventDestroy(event_));
  }
  void wait() override { check(cudaStreamWaitEvent(current_stream(), event_, 0), "waiting for an event"); }
  void finish() override {
    const OnDevice here(device_);
    check(cudaEventSynchronize(event_), "waiting for what was launched");
  }
  // An answer that is no is an error to CUDA, which the next check of a launch would take for its own. After a fault of the GPU nothing is under way any more.
  bool has_happened() const override {
    const OnDevice here(device_);
    const auto error = cudaEventQuery(event_);
    if (error != cudaSuccess) static_cast<void>(cudaGetLastError());
    return error != cudaErrorNotReady;
  }

 private:
  const c10::DeviceIndex device_;
  cudaEvent_t event_ = nullptr;
};

// The end of what a task of a side stream launches: first it is launched, then it is done.
class Launched final : public Event::State {
 public:
  Launched(Event launched, std::shared_ptr<Event> end) : launched_(std::move(launched)), end_(std::move(end)) {}
  void wait() override {
    launched_.finish();
    end_->wait();
  }
  void finish() override {
    launched_.finish();
    end_->finish();
  }
  bool has_happened() const override { return launched_.has_happened() && end_->has_happened(); }

 private:
  Event launched_;
  std::shared_ptr<Event> end_;  // written before `launched_` has happened
};

class GpuThreadStream final : public Stream {
 public:
  explicit GpuThreadStream(int threads) : stream_(c10::cuda::getStreamFromPool(/*isHighPriority=*/true)), thread_(threads) {}

  using Stream::submit;
  Event submit(Task task, std::vector<Event> after) override {
    after.push_back(record());
    auto end = std::make_shared<Event>();
    const auto run = [this, run = std::move(task.run), after = std::move(after), end] {
      const c10::cuda::CUDAStreamGuard guard(stream_);
      for (const Event& event : after) event.wait();
      run();
      *end = record();
    };
    return Event(std::make_shared<Launched>(thread_.submit(Task{run, task.bytes, std::move(task.label)}), end));
  }

 private:
  c10::cuda::CUDAStream stream_;
  ThreadStream thread_;
};

}  // namespace

GpuStream current_stream() { return c10::cuda::getCurrentCUDAStream().stream(); }
Event record() { return Event(std::make_shared<Mark>()); }
void synchronize() { check(cudaStreamSynchronize(current_stream()), "waiting for what was launched"); }
std::unique_ptr<Stream> make_stream(int threads) { return std::make_unique<GpuThreadStream>(threads); }

void copy(const void* from, void* to, int64_t bytes) {
  if (bytes == 0 || from == to) return;
  check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDefault, current_stream()), "a copy");
}

void copy_rows(const void* from, int64_t from_stride, void* to, int64_t to_stride, int64_t row_bytes, int64_t rows) {
  if (row_bytes == 0 || rows == 0) return;
  const auto size = [](int64_t bytes) { return static_cast<size_t>(bytes); };
  check(cudaMemcpy2DAsync(to, size(to_stride), from, size(from_stride), size(row_bytes), size(rows), cudaMemcpyDefault, current_stream()), "a copy of rows");
}

void fill_zero(void* to, int64_t bytes) {
  if (bytes > 0) check(cudaMemsetAsync(to, 0, static_cast<size_t>(bytes), current_stream()), "filling with zeros");
}

Pinned::Pinned(void* memory, int64_t bytes) : memory_(memory) {
  const auto error = cudaHostRegister(memory, static_cast<size_t>(bytes), cudaHostRegisterPortable);
  if (error != cudaSuccess) memory_ = nullptr;
  if (error == cudaErrorMemoryAllocation || error == cudaErrorOperatingSystem) {
    static_cast<void>(cudaGetLastError());
    fail(ErrorKind::out_of_memory, "{} bytes of host memory cannot be locked for the GPU; ulimit -l is the limit", bytes);
  }
  check(error, "locking host memory");
}

Pinned::~Pinned() {
  if (!memory_) return;
  static_cast<void>(cudaDeviceSynchronize());  // copies may be under way where an error unwinds
  static_cast<void>(cudaHostUnregister(memory_));
}

}  // namespace zerorun::gpu
