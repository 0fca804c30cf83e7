// NCCL's communicator, its stream and its watchdog: what every call of NCCL goes through, so that none hangs for ever. Private to the sources of NCCL.
#pragma once
#include <c10/cuda/CUDAStream.h>
#include <nccl.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <string_view>
#include <thread>

#include "comm/nccl_communicator.h"
#include "comm/nccl_rules.h"
#include "comm/outstanding.h"
#include "comm/slab_memory.h"

namespace zerorun {

// Works and buffers hold it; the communicator ends it. Not blocking in NCCL's sense: a call that is in progress is asked about until it is done, late, or the
// group has failed.
class NcclGroup : public std::enable_shared_from_this<NcclGroup> {
 public:
  using Calls = std::function<ncclResult_t(ncclComm_t)>;

  NcclGroup(Communicator& control, const NcclOptions& options);
  ~NcclGroup();
  NcclGroup(const NcclGroup&) = delete;
  NcclGroup& operator=(const NcclGroup&) = delete;

  // Launches a collective on the group's stream, which is the current one inside `launch`.
  Work run(const Call& call, const std::function<void(GpuStream)>& launch);
  // One call, or several between ncclGroupStart and ncclGroupEnd. `what` is for messages.
  void call(std::string_view what, const Calls& body);

  // Memory that NCCL has allocated, all of it, which may be more than was asked for; register_memory() makes it a window. REQUIRES the same sizes on all ranks.
  SlabMemory::Slab allocate(int64_t least_bytes);
  void register_memory(void* data, int64_t bytes);
  void free(void* data) noexcept;
  // Kernels may still read what is given back, which a freed tensor of LibTorch's would outlast in the order of its stream: this waits.
  void settle_memory() noexcept;

  void abandon() noexcept;
  // Of the communicator: nothing may be called any more but free().
  void end(bool unwinding) noexcept;

 private:
  using Clock = std::chrono::steady_clock;

  ncclUniqueId agree(Communicator& control);
  void connect(const ncclUniqueId& id);
  ncclResult_t state_of_comm() const;  // REQUIRES calls_
  void settle(std::string_view what, ncclResult_t result, double seconds);
  void finalize();
  void deregister(void* data);
  void watch();
  void look();
  bool outlast(double seconds);  // whether all that is outstanding has ended before it was late by so much

  void throw_if_failed() const;
  bool note_failure(std::exception_ptr failure);
  [[noreturn]] void give_up(std::exception_ptr failure);
  std::string message_of(std::string_view what, ncclResult_t result) const;
  std::exception_ptr of_peers(std::string_view what, ncclResult_t state) const;
  void tell(const std::exception_ptr& failure);  // on_failure, once
  std::exception_ptr failure_of(std::string_view what, ncclResult_t result) const;
  void abort() noexcept;
  bool end_now(ncclComm_t comm) const;

  const NcclOptions options_;
  const RankName name_;
  const c10::DeviceIndex device_;
  const c10::cuda::CUDAStream stream_;
  Outstanding outstanding_;

  std::mutex order_;        // of calls, each until it has ended: buffers are given back on any thread
  std::timed_mutex calls_;  // of NCCL's functions, one at a time
  ncclComm_t comm_ = nullptr;
  std::map<void*, ncclWindow_t> windows_;

  mutable std::mutex failing_;
  std::exception_ptr failure_;
  std::atomic<bool> has_failed_ = false;
  std::atomic<bool> is_stuck_ = false;  // and could not be ended
  std::atomic<bool> is_told_ = false;

  std::mutex ending_;
  std::condition_variable ends_;
  bool is_ending_ = false;
  std::thread watchdog_;
};

}  // namespace zerorun
