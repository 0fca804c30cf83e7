#include "comm/nccl_group.h"

#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <future>

#include "comm/backoff.h"
#include "comm/gather.h"
#include "core/error.h"
#include "core/gpu/gpu.h"
#include "core/host_name.h"

namespace zerorun {
namespace {

constexpr auto kLookEvery = std::chrono::milliseconds(100);
constexpr auto kAbortWait = std::chrono::seconds(2);  // for a thread that launches, and may be stuck in it
constexpr double kGraceSeconds = 2;                   // for what peers have joined
constexpr double kEndSeconds = 30;                    // for peers that end at another time

Backoff polling() { return {100, 100, std::chrono::microseconds(50)}; }

bool is_late(std::chrono::steady_clock::time_point start, double seconds) {
  return seconds > 0 && std::chrono::steady_clock::now() - start > std::chrono::duration<double>(seconds);
}

}  // namespace

NcclGroup::NcclGroup(Communicator& control, const NcclOptions& options)
    : options_(options),
      name_{control.rank(), options.first_rank, control.size()},
      device_(c10::cuda::current_device()),
      stream_(c10::cuda::getStreamFromPool(/*isHighPriority=*/true)) {
  connect(agree(control));
  watchdog_ = std::thread([this] { watch(); });
}

NcclGroup::~NcclGroup() { end(/*unwinding=*/true); }

ncclUniqueId NcclGroup::agree(Communicator& control) {
  NcclHello own;
  const auto gpus = gpu::visible();
  ZR_CHECK(device_ >= 0 && static_cast<size_t>(device_) < gpus.size(), "GPU {} of {}", static_cast<int>(device_), gpus.size());
  own.with(gpus[static_cast<size_t>(device_)].uuid, host_name());
  static_cast<void>(ncclGetVersion(&own.version));
  own.strict = options_.strict;
  own.allow_shared_gpu = options_.allow_shared_gpu;
  const char* multi_rank = std::getenv("NCCL_MULTI_RANK_GPU_ENABLE");
  own.multi_rank_gpu = multi_rank && std::strcmp(multi_rank, "1") == 0;

  ncclUniqueId id{};
  static_assert(sizeof id == sizeof own.id);
  const auto made = name_.rank == 0 ? ncclGetUniqueId(&id) : ncclSuccess;
  own.has_id = made == ncclSuccess;
  std::memcpy(own.id.data(), &id, sizeof id);
  const auto hellos = gather(control, own);
  if (made != ncclSuccess) std::rethrow_exception(failure_of("the making of an id", made));
  check_nccl_hellos(hellos, NCCL_VERSION_CODE, name_.first_rank);
  std::memcpy(&id, hellos[0].id.data(), sizeof id);
  return id;
}

void NcclGroup::connect(const ncclUniqueId& id) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  const auto result = ncclCommInitRankConfig(&comm_, name_.size, id, name_.rank, &config);
  settle("the start of the group", result, options_.timeout_seconds);
}

void NcclGroup::call(std::string_view what, const Calls& body) {
  const std::lock_guard one_at_a_time(order_);
  std::exception_ptr failure;
  auto result = ncclSuccess;
  {
    const std::lock_guard lock(calls_);
    throw_if_failed();
    if (!comm_) return;  // buffers that outlive the communicator
    result = body(comm_);
    if (result == ncclSuccess) {  // the registration of a window says that it is done when it has begun
      result = state_of_comm();
      if (result != ncclSuccess && result != ncclInProgress) failure = of_peers(what, result);
    }
  }
  if (failure) give_up(failure);
  settle(what, result, options_.timeout_seconds);
}

ncclResult_t NcclGroup::state_of_comm() const {
  auto state = ncclSuccess;
  const auto asked = ncclCommGetAsyncError(comm_, &state);
  return asked == ncclSuccess ? state : asked;
}

void NcclGroup::settle(std::string_view what, ncclResult_t result, double seconds) {
  const auto start = Clock::now();
  auto backoff = polling();
  while (result == ncclInProgress) {
    if (is_late(start, seconds)) give_up(std::make_exception_ptr(Error(ErrorKind::timeout, nccl_timeout_message(name_, what, seconds))));
    backoff.pause();
    const std::lock_guard lock(calls_);
    throw_if_failed();
    result = state_of_comm();
  }
  if (result != ncclSuccess) give_up(failure_of(what, result));
}

Work NcclGroup::run(const Call& call, const std::function<void(GpuStream)>& launch) {
  throw_if_failed();
  const Event ready = gpu::record();
  Event done;
  {
    const c10::cuda::CUDAStreamGuard guard(stream_);
    ready.wait();
    try {
      launch(stream_.stream());
      done = gpu::record();
    } catch (...) {  // part of it may be under way, and no event tells its end
      give_up(std::current_exception());
    }
  }
  outstanding_.add(call, ready, done);
  return Work([group = shared_from_this(), done] {
    group->throw_if_failed();
    done.wait();
  });
}

void NcclGroup::watch() {
  c10::cuda::set_device(device_);
  std::unique_lock lock(ending_);
  while (!ends_.wait_for(lock, kLookEvery, [this] { return is_ending_; })) {
    lock.unlock();
    look();
    lock.lock();
  }
}

void NcclGroup::look() {
  if (has_failed_) return;
  const auto fail_all = [this](const std::exception_ptr& failure) {
    if (!note_failure(failure)) return;
    tell(failure);
    abort();
  };
  if (const auto late = outstanding_.late(Clock::now(), options_.timeout_seconds)) {
    return fail_all(std::make_exception_ptr(Error(ErrorKind::timeout, nccl_timeout_message(name_, late->describe(), options_.timeout_seconds))));
  }
  auto state = ncclSuccess;
  {
    const std::unique_lock lock(calls_, std::try_to_lock);  // a thread that launches may be stuck in it, and that is noticed above
    if (!lock || !comm_) return;
    state = state_of_comm();
  }
  if (state == ncclSuccess || state == ncclInProgress) return;
  fail_all(of_peers(outstanding_.describe(), state));
}

bool NcclGroup::outlast(double seconds) {
  const auto start = Clock::now();
  auto backoff = polling();
  while (!has_failed_ && !outstanding_.empty()) {
    // What has yet to start may never do so.
    if (outstanding_.late(Clock::now(), seconds) || is_late(start, 2 * seconds)) return false;
    backoff.pause();
  }
  return !has_failed_;
}

void NcclGroup::abandon() noexcept {
  if (has_failed_ || outlast(kGraceSeconds)) return;
  note_failure(std::make_exception_ptr(PeerFailed(ErrorKind::stopped, name_.text() + " has given up what was under way; its message says why")));
  abort();
  const auto start = Clock::now();
  for (auto backoff = polling(); !outstanding_.empty() && !is_late(start, kGraceSeconds);) backoff.pause();
}

void NcclGroup::end(bool unwinding) noexcept {
  const double limit = options_.timeout_seconds > 0 ? std::min(options_.timeout_seconds, kEndSeconds) : kEndSeconds;
  const bool is_done = comm_ && !has_failed_ && (unwinding ? outstanding_.empty() : outlast(limit));
  {
    const std::lock_guard lock(ending_);
    is_ending_ = true;
  }
  ends_.notify_one();
  if (watchdog_.joinable()) watchdog_.join();
  try {
    if (is_done && !unwinding) return finalize();
  } catch (const std::exception&) {
    // Peers that do not end with this rank have reasons of their own, which they tell.
  }
  note_failure(std::make_exception_ptr(PeerFailed(ErrorKind::stopped, name_.text() + " has ended")));
  abort();
}

void NcclGroup::finalize() {
  const auto next_window = [this]() -> void* {
    const std::lock_guard lock(calls_);
    return windows_.empty() ? nullptr : windows_.begin()->first;
  };
  while (auto* const window = next_window()) deregister(window);
  const std::lock_guard one_at_a_time(order_);
  const double limit = options_.timeout_seconds > 0 ? std::min(options_.timeout_seconds, kEndSeconds) : kEndSeconds;
  auto result = ncclSuccess;
  {
    const std::lock_guard lock(calls_);
    throw_if_failed();
    result = ncclCommFinalize(comm_);
  }
  settle("the end of the group", result, limit);
  const std::lock_guard lock(calls_);
  static_cast<void>(ncclCommDestroy(std::exchange(comm_, nullptr)));
}

void NcclGroup::throw_if_failed() const {
  if (!has_failed_) return;
  const std::lock_guard lock(failing_);
  std::rethrow_exception(failure_);
}

bool NcclGroup::note_failure(std::exception_ptr failure) {
  const std::lock_guard lock(failing_);
  if (failure_) return false;
  failure_ = std::move(failure);
  has_failed_ = true;
  return true;
}

void NcclGroup::give_up(std::exception_ptr failure) {
  note_failure(std::move(failure));
  abort();
  throw_if_failed();
  fail(ErrorKind::bug, "a failure that is none");
}

std::string NcclGroup::message_of(std::string_view what, ncclResult_t result) const {
  const char* detail = ncclGetLastError(comm_);
  return nccl_failure_message(name_, what, ncclGetErrorString(result), detail ? detail : "");
}

// An error that no call of this rank's has brought: a peer knows more.
std::exception_ptr NcclGroup::of_peers(std::string_view what, ncclResult_t state) const { return std::make_exception_ptr(PeerFailed(ErrorKind::io, message_of(what, state))); }

std::exception_ptr NcclGroup::failure_of(std::string_view what, ncclResult_t result) const {
  const auto message = message_of(what, result);
  if (result == ncclRemoteError) return std::make_exception_ptr(PeerFailed(ErrorKind::io, message));
  const bool is_usage = result == ncclInvalidArgument || result == ncclInvalidUsage;
  return std::make_exception_ptr(Error(is_usage ? ErrorKind::configuration : ErrorKind::io, message));
}

// Where a thread is stuck in a launch, with the stream's queue full behind a collective that hangs, NCCL cannot be called; and its abort waits for its kernels, of
// which those that read windows do not look whether they shall end (NCCL 2.28). Then only the program's end helps.
void NcclGroup::abort() noexcept {
  const std::unique_lock lock(calls_, kAbortWait);
  if (lock && !comm_) return;
  try {
    if (lock && end_now(std::exchange(comm_, nullptr))) return;
  } catch (const std::exception&) {
    // No thread to be had: stuck as well.
  }
  is_stuck_ = true;
  tell(failure_);
}

// Whether NCCL ended it in time.
bool NcclGroup::end_now(ncclComm_t comm) const {
  const auto ended = std::make_shared<std::promise<void>>();
  std::thread([comm, device = device_, ended] {
    static_cast<void>(cudaSetDevice(device));
    static_cast<void>(ncclCommAbort(comm));
    ended->set_value();
  }).detach();
  return ended->get_future().wait_for(kAbortWait) == std::future_status::ready;
}

void NcclGroup::tell(const std::exception_ptr& failure) {
  if (options_.on_failure && !is_told_.exchange(true)) options_.on_failure(failure);
}

}  // namespace zerorun
