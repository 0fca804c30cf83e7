// In place of NCCL where zerorun is built without CUDA.
#include <ATen/core/Tensor.h>

#include "comm/nccl_communicator.h"
#include "core/error.h"
#include "core/gpu/gpu.h"

namespace zerorun {

class NcclGroup {};

NcclCommunicator::NcclCommunicator(Communicator& control, NcclOptions options) : control_(control), options_(std::move(options)) {
  fail(ErrorKind::configuration, "zerorun was built without CUDA, so there are no collectives between GPUs; build it with -DZERORUN_CUDA=ON for them");
}

NcclCommunicator::~NcclCommunicator() = default;

Work NcclCommunicator::all_gather(Span, Span) { gpu::fail_absent(); }
Work NcclCommunicator::reduce_scatter(Span, Span, Span, OnBlock) { gpu::fail_absent(); }
Work NcclCommunicator::all_reduce(Span, Span) { gpu::fail_absent(); }
at::Tensor NcclCommunicator::allocate(int64_t) { gpu::fail_absent(); }
int64_t NcclCommunicator::slab_bytes() { gpu::fail_absent(); }
void NcclCommunicator::use_once() { gpu::fail_absent(); }
void NcclCommunicator::tell(const Activity&) {}
void NcclCommunicator::abandon() noexcept {}

}  // namespace zerorun
