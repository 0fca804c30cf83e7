#include "comm/staged_communicator.h"

#include <ATen/core/Tensor.h>

#include <algorithm>

#include "comm/collective.h"
#include "core/error.h"
#include "core/gpu/gpu.h"
#include "core/memory.h"

namespace zerorun {
namespace {

constexpr int64_t kStageBytes = 4 << 20;
constexpr int64_t kWholeBytes = 64 * 8;  // 64 elements of any dtype

int64_t piece_bytes_for(int ranks) { return std::max(kWholeBytes, kStageBytes / ranks / kWholeBytes * kWholeBytes); }

class GpuCopy final : public DeviceCopy {
 public:
  void copy(const void* from, void* to, int64_t bytes) override { gpu::copy(from, to, bytes); }
  void finish() override { gpu::synchronize(); }
};

}  // namespace

std::unique_ptr<DeviceCopy> gpu_copies() {
  if (gpu::build().empty()) fail(ErrorKind::configuration, "{}: there is no memory of GPUs to copy", gpu::absence());
  return std::make_unique<GpuCopy>();
}

struct StagedCommunicator::Staging {
  explicit Staging(Communicator& host) : piece_bytes(piece_bytes_for(host.size())) {
    const MemoryScope scope(Category::host);
    stage = host.allocate(piece_bytes * host.size());
    // The most for any dtype: in elements of a byte.
    scratch = host.allocate(host.reduce_scratch_bytes(piece_bytes, at::kByte));
  }
  Span scratch_span() const { return {scratch.data_ptr(), scratch.numel(), at::kByte}; }

  int64_t piece_bytes;
  at::Tensor stage, scratch;
};

StagedCommunicator::StagedCommunicator(Communicator& host, std::unique_ptr<DeviceCopy> copies, std::function<at::Tensor(int64_t)> buffer_of)
    : host_(host), copies_(std::move(copies)), buffer_of_(std::move(buffer_of)), staging_(std::make_unique<Staging>(host)) {}

StagedCommunicator::~StagedCommunicator() = default;

at::Tensor StagedCommunicator::allocate(int64_t bytes) { return buffer_of_(bytes); }

void StagedCommunicator::for_each_piece(Span slice, const std::function<void(int64_t begin, Span staged)>& body) {
  const int64_t element = Span{nullptr, 1, slice.dtype}.bytes(), piece = staging_->piece_bytes / element;
  for (int64_t begin = 0; begin < slice.count; begin += piece) {
    body(begin, {staging_->stage.data_ptr(), std::min(piece, slice.count - begin) * size(), slice.dtype});
  }
  copies_->finish();
}

Work StagedCommunicator::all_gather(Span slice, Span full) {
  check_all_gather(*this, slice, full);
  check_on_gpu({slice, full});
  for_each_piece(slice, [&](int64_t begin, Span staged) {
    const Span own = staged.slice(rank(), size());
    copy(slice.part(begin, own.count), own);
    copies_->finish();
    host_.all_gather(own, staged).wait();
    for (int r = 0; r < size(); ++r) copy(staged.slice(r, size()), full.slice(r, size()).part(begin, own.count));
  });
  return {};
}

Work StagedCommunicator::reduce_scatter(Span full, Span slice, Span scratch, OnBlock on_block) {
  check_reduce_scatter(*this, full, slice, scratch);
  check_on_gpu({full, slice, scratch}, on_block);
  for_each_piece(slice, [&](int64_t begin, Span staged) {
    const Span own = staged.slice(rank(), size());
    for (int r = 0; r < size(); ++r) copy(full.slice(r, size()).part(begin, own.count), staged.slice(r, size()));
    copies_->finish();
    host_.reduce_scatter(staged, own, staging_->scratch_span()).wait();
    copy(own, slice.part(begin, own.count));
  });
  return {};
}

// Stretches of `full` as they come: which rank sums what is the host communicator's own.
Work StagedCommunicator::all_reduce(Span full, Span scratch) {
  check_all_reduce(*this, full, scratch);
  check_on_gpu({full, scratch});
  for_each_piece(full.slice(rank(), size()), [&](int64_t begin, Span staged) {
    const Span stretch = full.part(begin * size(), staged.count);
    copy(stretch, staged);
    copies_->finish();
    host_.all_reduce(staged, staging_->scratch_span()).wait();
    copy(staged, stretch);
  });
  return {};
}

}  // namespace zerorun
