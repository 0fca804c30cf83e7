#include "core/gpu/allocator.h"

#include <c10/cuda/CUDACachingAllocator.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <unordered_map>

#include "core/account.h"
#include "core/error.h"
#include "core/gpu/cuda_check.h"
#include "core/gpu/gpu.h"

namespace zerorun::gpu {
namespace {

using c10::cuda::MempoolId_t;
using detail::Charge;
namespace caching = c10::cuda::CUDACachingAllocator;

[[noreturn]] void fail_without_memory(size_t bytes, const MemoryUsage& usage) {
  std::string held;
  for (int c = 0; c < kCategoryCount; ++c) {
    const auto category = static_cast<Category>(c);
    if (on_device(category) && usage.now_of(category) > 0) held += fmt::format("{}{} {} bytes", held.empty() ? "" : ", ", name_of(category), usage.now_of(category));
  }
  const auto [free, total] = memory();
  fail(ErrorKind::out_of_memory, "no memory on the GPU for a tensor of {} bytes: {} of its {} bytes are free; this rank holds {}", bytes, free, total,
       held.empty() ? "nothing" : held);
}

// Much of the interface serves Python's tools and CUDA graphs with pools of their own; none of that is used here.
[[noreturn]] void fail_unused(const char* what) { fail(ErrorKind::bug, "the GPU's allocator was asked for what it does not do: {}", what); }

class ArenaAllocator final : public caching::CUDAAllocator {
 public:
  explicit ArenaAllocator(int index) : device_(c10::kCUDA, static_cast<c10::DeviceIndex>(index)) {}

  c10::DataPtr allocate(size_t bytes) override {
    void* const block = raw_alloc(bytes);
    return {block, block, &free_block, device_};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free_block; }
  void copy_data(void* to, const void* from, size_t bytes) const override { copy(from, to, static_cast<int64_t>(bytes)); }

  void* raw_alloc(size_t bytes) override {
    if (bytes == 0) return nullptr;
    const auto charge = Charge::of_scope(bytes, Side::gpu, detail::Arena::Memory::mapped);
    if (!charge) fail_without_memory(bytes, detail::current_scope().account->usage());
    charge->enter();
    const std::lock_guard lock(mutex_);
    blocks_.emplace(charge->address(), *charge);
    return charge->address();
  }
  void* raw_alloc_with_stream(size_t bytes, cudaStream_t) override { return raw_alloc(bytes); }

  void raw_delete(void* block) override {
    if (!block) return;
    Charge charge{};
    {
      const std::lock_guard lock(mutex_);
      const auto place = blocks_.find(block);
      if (place == blocks_.end()) {  // deleters must not throw
        std::fputs("zerorun: the GPU's allocator did not give out the block that it gets back\n", stderr);
        std::abort();
      }
      charge = place->second;
      blocks_.erase(place);
    }
    charge.leave();
  }

  void* getBaseAllocation(void* block, size_t* size) override {
    const std::lock_guard lock(mutex_);
    const auto place = blocks_.find(block);
    if (size && place != blocks_.end()) *size = static_cast<size_t>(place->second.bytes);
    return block;
  }

  cudaError_t memcpyAsync(void* to, int, const void* from, int, size_t bytes, cudaStream_t stream, bool) override {
    return cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream);
  }

  std::string name() override { return "zerorun's arenas"; }
  bool initialized() override { return true; }
  bool isEnabled() const override { return true; }
  bool isHistoryEnabled() override { return false; }
  double getMemoryFraction(c10::DeviceIndex) override { return 1; }
  void init(int) override {}
  void enable(bool) override {}
  void emptyCache(MempoolId_t) override {}
  // Tensors here are used on other streams only while an event keeps them alive.
  void recordStream(const c10::DataPtr&, c10::cuda::CUDAStream) override {}
  void setMemoryFraction(double, c10::DeviceIndex) override {}
  std::vector<caching::StreamSegmentSize> getExpandableSegmentSizes(c10::DeviceIndex) override { return {}; }
  void cacheInfo(c10::DeviceIndex, size_t* largest) override { *largest = 0; }
  caching::SnapshotInfo snapshot(MempoolId_t, bool) override { return {}; }
  c10::CachingDeviceAllocator::DeviceStats getDeviceStats(c10::DeviceIndex) override { return {}; }
  void resetAccumulatedStats(c10::DeviceIndex) override {}
  void resetPeakStats(c10::DeviceIndex) override {}
  void attachOutOfMemoryObserver(caching::OutOfMemoryObserver) override {}
  void attachAllocatorTraceTracker(caching::AllocatorTraceTracker) override {}
  void enablePeerAccess(c10::DeviceIndex, c10::DeviceIndex) override {}

  void beginAllocateToPool(c10::DeviceIndex, MempoolId_t, std::function<bool(cudaStream_t)>) override { fail_unused("a pool"); }
  void endAllocateToPool(c10::DeviceIndex, MempoolId_t) override { fail_unused("a pool"); }
  void releasePool(c10::DeviceIndex, MempoolId_t) override { fail_unused("a pool"); }
  caching::ShareableHandle shareIpcHandle(void*) override { fail_unused("a handle for other processes"); }
  std::shared_ptr<void> getIpcDevPtr(std::string) override { fail_unused("memory of another process"); }
  void recordHistory(bool, caching::CreateContextFn, size_t, caching::RecordContext, bool, const std::vector<std::string>&) override { fail_unused("a history"); }
  std::shared_ptr<caching::AllocatorState> getCheckpointState(c10::DeviceIndex, MempoolId_t) override { fail_unused("a checkpoint"); }
  caching::CheckpointDelta setCheckpointPoolState(c10::DeviceIndex, std::shared_ptr<caching::AllocatorState>) override { fail_unused("a checkpoint"); }

 private:
  static void free_block(void* block) { caching::get()->raw_delete(block); }

  const c10::Device device_;
  std::mutex mutex_;
  std::unordered_map<void*, Charge> blocks_;
};

}  // namespace

void install_allocator(int index) {
  static auto& allocator = *new ArenaAllocator(index);  // outlives every block
  caching::allocator.store(&allocator);
  c10::SetAllocator(c10::kCUDA, &allocator, /*priority=*/255);
}

}  // namespace zerorun::gpu
