#include "comm/nccl_communicator.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <array>

#include "comm/buffers.h"
#include "comm/collective.h"
#include "comm/gather.h"
#include "comm/nccl_group.h"
#include "comm/rank_rounds.h"
#include "comm/rank_sum.h"
#include "comm/slab_memory.h"
#include "core/error.h"
#include "core/gpu/gpu.h"
#include "core/gpu/shape.h"

namespace zerorun {
namespace {

ncclDataType_t type_of(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat: return ncclFloat32;
    case at::kDouble: return ncclFloat64;
    case at::kBFloat16: return ncclBfloat16;
    case at::kHalf: return ncclFloat16;
    default: fail(ErrorKind::bug, "{} cannot be summed over ranks", c10::toString(dtype));
  }
}

char* bytes_of(Span span) { return static_cast<char*>(span.data); }
size_t size_of(int64_t count) { return static_cast<size_t>(count); }

ncclResult_t gather_slices(Span slice, Span full, ncclComm_t comm, GpuStream stream) {
  return ncclAllGather(slice.data, full.data, size_of(slice.bytes()), ncclInt8, comm, stream);
}

// The calls of `body`, as one. The first that is wrong is the one to show.
template <typename Body>
ncclResult_t grouped(Body body) {
  if (const auto started = ncclGroupStart(); started != ncclSuccess) return started;
  auto first_wrong = ncclSuccess;
  body([&](ncclResult_t result) {
    if (first_wrong == ncclSuccess && result != ncclInProgress) first_wrong = result;
  });
  const auto ended = ncclGroupEnd();
  return first_wrong == ncclSuccess ? ended : first_wrong;
}

// Collective. Ranks cut their slabs alike: of all the least counts.
SlabMemory::Slab make_slab(Communicator& control, NcclGroup& group, int64_t least_bytes) {
  auto slab = group.allocate(least_bytes);
  try {
    slab.bytes = std::ranges::min(gather(control, slab.bytes));
    group.register_memory(slab.data, slab.bytes);
  } catch (...) {
    group.free(slab.data);
    throw;
  }
  return slab;
}

}  // namespace

NcclCommunicator::NcclCommunicator(Communicator& control, NcclOptions options) : control_(control), options_(std::move(options)) {
  if (size() == 1) return;
  group_ = std::make_shared<NcclGroup>(control, options_);
  slabs_ = SlabMemory::of({.make = [&control, group = group_](int64_t least) { return make_slab(control, *group, least); },
                           .release = [group = group_](char* data) { group->free(data); },
                           .settle = [group = group_] { group->settle_memory(); }});
}

NcclCommunicator::~NcclCommunicator() {
  if (group_) group_->end(std::uncaught_exceptions() > exceptions_at_start_);
}

Work NcclCommunicator::all_gather(Span slice, Span full) {
  check_all_gather(*this, slice, full);
  check_on_gpu({slice, full});
  if (slice.count == 0) return {};
  if (!group_) {
    gpu::copy(slice.data, full.data, full.bytes());
    return {};
  }
  const Call call{Collective::all_gather, slice.dtype, slice.count, activity_};
  return group_->run(call, [&](GpuStream stream) { group_->call(call.describe(), [&](ncclComm_t comm) { return gather_slices(slice, full, comm, stream); }); });
}

Work NcclCommunicator::reduce_scatter(Span full, Span slice, Span scratch, OnBlock on_block) {
  check_reduce_scatter(*this, full, slice, scratch);
  check_on_gpu({full, slice, scratch}, on_block);
  if (slice.count == 0) return {};
  if (!group_) {
    gpu::copy(full.data, slice.data, slice.bytes());
    return {};
  }
  const Call call{Collective::reduce_scatter, full.dtype, full.count, activity_};
  return group_->run(call, [&](GpuStream stream) {
    const auto what = call.describe();
    if (options_.strict) return sum_strictly(what, full, slice, scratch, stream);
    group_->call(what, [&](ncclComm_t comm) { return ncclReduceScatter(full.data, slice.data, size_of(slice.count), type_of(slice.dtype), ncclSum, comm, stream); });
  });
}

Work NcclCommunicator::all_reduce(Span full, Span scratch) {
  check_all_reduce(*this, full, scratch);
  check_on_gpu({full, scratch});
  if (full.count == 0 || !group_) return {};
  const Call call{Collective::all_reduce, full.dtype, full.count, activity_};
  return group_->run(call, [&](GpuStream stream) {
    const auto what = call.describe();
    if (!options_.strict) {
      return group_->call(what, [&](ncclComm_t comm) { return ncclAllReduce(full.data, full.data, size_of(full.count), type_of(full.dtype), ncclSum, comm, stream); });
    }
    const Span own = full.slice(rank(), size());
    sum_strictly(what, full, own, scratch, stream);
    group_->call(what, [&](ncclComm_t comm) { return gather_slices(own, full, comm, stream); });
  });
}

// On one stream: a round comes after the sum of the one before, and has all of the scratch, which is two pieces of each rank.
void NcclCommunicator::sum_strictly(const std::string& what, Span full, Span slice, Span scratch, GpuStream stream) {
  const RankRounds rounds(slice.bytes(), std::min(slice.bytes(), 2 * reduce_piece_bytes(slice.count, slice.dtype)));
  const int64_t element = slice.bytes() / slice.count;
  for (int64_t i = 0; i < rounds.count(); ++i) {
    const RankRound round = rounds[i];
    const auto part_for = [&](int owner) { return bytes_of(full) + rounds.in_full(round, owner); };
    const auto part_from = [&](int sender) { return bytes_of(scratch) + RankRounds::in_scratch(round, sender); };
    gpu::copy(part_for(rank()), part_from(rank()), round.bytes);
    group_->call(what, [&](ncclComm_t comm) {
      return grouped([&](auto check) {
        for (int peer = 0; peer < size(); ++peer) {
          if (peer == rank()) continue;
          check(ncclSend(part_for(peer), size_of(round.bytes), ncclInt8, peer, comm, stream));
          check(ncclRecv(part_from(peer), size_of(round.bytes), ncclInt8, peer, comm, stream));
        }
      });
    });
    const int64_t count = round.bytes / element;
    rank_sum(scratch.data, count, size(), {bytes_of(slice) + round.begin, count, slice.dtype, Side::gpu}, stream);
  }
}

at::Tensor NcclCommunicator::allocate(int64_t bytes) {
  if (!group_ || bytes <= 0) return gpu_buffer(bytes);
  const auto asked = gather(control_, bytes);
  check_same_bytes(asked, options_.first_rank);
  auto buffer = slabs_->take(bytes);
  const std::array<int64_t, 2> own{buffer.slab, buffer.offset};
  ZR_CHECK(std::ranges::count(gather(control_, own), own) == size(), "ranks keep a buffer of {} bytes at different places: on rank {} slab {}, {}", bytes, rank(), own[0], own[1]);
  return gpu_buffer(std::move(buffer.memory), bytes);
}

int64_t NcclCommunicator::slab_bytes() {
  if (!group_) return gpu::Shape().slab_bytes;
  const auto slab = group_->allocate(1);
  group_->free(slab.data);
  return gpu_pages(std::ranges::min(gather(control_, slab.bytes)));
}

void NcclCommunicator::use_once() {
  if (!group_) return;
  constexpr int64_t kCount = 64;
  const auto values = allocate(kCount * size() * int64_t{sizeof(float)}), scratch = allocate(reduce_scratch_bytes(kCount, at::kFloat));
  gpu::fill_zero(values.data_ptr(), values.numel());
  const Span full{values.data_ptr(), kCount * size(), at::kFloat, Side::gpu}, own = full.slice(rank(), size());
  reduce_scatter(full, own, {scratch.data_ptr(), scratch.numel(), at::kByte, Side::gpu}, {}).wait();
  all_gather(own, full).wait();
  gpu::synchronize();
}

void NcclCommunicator::tell(const Activity& activity) {
  activity_ = activity;
  control_.tell(activity);
}

void NcclCommunicator::abandon() noexcept {
  if (group_) group_->abandon();
}

}  // namespace zerorun
