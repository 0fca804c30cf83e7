// NCCL's calls, as far as zerorun makes them. The registration of a window says that it is done before it is, as NCCL 2.28 does.
#include "tests/gpu/stand_in/memory.h"
#include "tests/gpu/stand_in/rank_group.h"

namespace {

thread_local int depth = 0;
thread_local std::vector<stand_in::Message> grouped;
thread_local ncclComm* group_comm = nullptr;
thread_local cudaStream_t group_stream = nullptr;

bool on_gpu(const void* data, std::size_t bytes) { return stand_in::place_of(data, bytes) == stand_in::Place::device; }

ncclResult_t add_message(stand_in::Message message, ncclComm_t comm, cudaStream_t stream) {
  if (!on_gpu(message.data, message.bytes)) return ncclInvalidArgument;
  if (depth == 0 || (group_comm && group_comm != comm)) std::abort();  // zerorun has them in groups, of one communicator
  if (comm->state != ncclSuccess) return ncclInvalidArgument;
  grouped.push_back(message);
  group_comm = comm;
  group_stream = stream;
  return ncclSuccess;
}

}  // namespace

extern "C" {

ncclResult_t ncclGetVersion(int* version) {
  const char* const text = std::getenv("STAND_IN_NCCL");
  return *version = text ? std::atoi(text) : 23203, ncclSuccess;
}
const char* ncclGetErrorString(ncclResult_t result) { return result == ncclSuccess ? "no error" : result == ncclInvalidArgument ? "invalid argument" : "an error of the NCCL that stands in"; }
const char* ncclGetLastError(ncclComm_t) { return ""; }

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  static std::atomic<int> made = 0;
  std::snprintf(id->internal, sizeof(id->internal), "/dev/shm/stand-in-%d-%d", getpid(), made++);
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* made, int ranks, ncclUniqueId id, int rank, ncclConfig_t* config) {
  if (ranks > stand_in::kMostRanks || !config || config->blocking != 0) return ncclInvalidArgument;
  auto* const comm = *made = new ncclComm{.rank = rank, .ranks = ranks, .path = id.internal};
  return comm->start_first([comm] {
    comm->map();
    comm->barrier();
    if (comm->rank == 0) unlink(comm->path.c_str());
  });
}
ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* state) { return *state = comm->state, ncclSuccess; }
ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  return comm->start([comm] {
    while (comm->under_way > 0) std::this_thread::sleep_for(std::chrono::microseconds(100));
  });
}
ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  comm->finish();
  delete comm;
  return ncclSuccess;
}
// STAND_IN_ABORT=hangs: as NCCL's, where a kernel under way does not look whether it shall end.
ncclResult_t ncclCommAbort(ncclComm_t comm) {
  const char* const how = std::getenv("STAND_IN_ABORT");
  while (how && std::strcmp(how, "hangs") == 0) std::this_thread::sleep_for(std::chrono::seconds(1));
  comm->aborted = true;
  return ncclCommDestroy(comm);
}

ncclResult_t ncclMemAlloc(void** data, std::size_t bytes) { return cudaMalloc(data, bytes) == cudaSuccess ? ncclSuccess : ncclUnhandledCudaError; }
ncclResult_t ncclMemFree(void* data) { return cudaFree(data) == cudaSuccess ? ncclSuccess : ncclUnhandledCudaError; }
ncclResult_t ncclCommWindowRegister(ncclComm_t comm, void* data, std::size_t, ncclWindow_t* window, int) {
  const auto result = comm->start([comm, data, window] {
    comm->barrier();
    *window = reinterpret_cast<ncclWindow_t>(data);
  });
  return result == ncclInProgress ? ncclSuccess : result;
}
ncclResult_t ncclCommWindowDeregister(ncclComm_t comm, ncclWindow_t window) {
  if (!window) return ncclInvalidArgument;
  if (comm->state == ncclInProgress) std::abort();  // beside what the communicator is at
  return ncclSuccess;
}

ncclResult_t ncclGroupStart() { return ++depth, ncclSuccess; }
ncclResult_t ncclGroupEnd() {
  if (--depth > 0 || !group_comm) return ncclSuccess;
  auto* const comm = std::exchange(group_comm, nullptr);
  return comm->launch(group_stream, {stand_in::kMessages, 0, 0}, [comm, messages = std::exchange(grouped, {})] { comm->exchange(messages); });
}
ncclResult_t ncclSend(const void* data, std::size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t stream) {
  return add_message({static_cast<char*>(const_cast<void*>(data)), count * stand_in::size_of(type), peer, true}, comm, stream);
}
ncclResult_t ncclRecv(void* data, std::size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t stream) {
  return add_message({static_cast<char*>(data), count * stand_in::size_of(type), peer, false}, comm, stream);
}

ncclResult_t ncclAllGather(const void* from, void* to, std::size_t count, ncclDataType_t type, ncclComm_t comm, cudaStream_t stream) {
  const std::size_t bytes = count * stand_in::size_of(type);
  if (!on_gpu(from, bytes) || !on_gpu(to, bytes * static_cast<std::size_t>(comm->ranks))) return ncclInvalidArgument;
  return comm->launch(stream, {stand_in::kGather, type, count}, [=] { comm->gather(static_cast<const char*>(from), static_cast<char*>(to), bytes); });
}
ncclResult_t ncclReduceScatter(const void* from, void* to, std::size_t count, ncclDataType_t type, ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
  if (op != ncclSum || !on_gpu(from, count * stand_in::size_of(type) * static_cast<std::size_t>(comm->ranks)) || !on_gpu(to, count * stand_in::size_of(type))) return ncclInvalidArgument;
  return comm->launch(stream, {stand_in::kReduceScatter, type, count}, [=] { comm->reduce(static_cast<const char*>(from), static_cast<char*>(to), count, type, comm->ranks); });
}
ncclResult_t ncclAllReduce(const void* from, void* to, std::size_t count, ncclDataType_t type, ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
  if (op != ncclSum || !on_gpu(from, count * stand_in::size_of(type)) || !on_gpu(to, count * stand_in::size_of(type))) return ncclInvalidArgument;
  return comm->launch(stream, {stand_in::kAllReduce, type, count}, [=] { comm->reduce(static_cast<const char*>(from), static_cast<char*>(to), count, type, 1); });
}

}  // extern "C"
