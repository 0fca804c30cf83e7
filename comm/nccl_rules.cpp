#include "comm/nccl_rules.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"

namespace zerorun {
namespace {

constexpr int kMultiRankGpu = 23000;  // the first NCCL that takes several ranks on one GPU

template <size_t N>
void set_text(std::array<char, N>& to, std::string_view text) {
  to = {};
  std::copy_n(text.data(), std::min(text.size(), N - 1), to.data());
}

void check_versions(std::span<const NcclHello> ranks, int built_with, int first_rank) {
  for (size_t r = 0; r < ranks.size(); ++r) {
    const int version = ranks[r].version, rank = first_rank + static_cast<int>(r);
    if (version < built_with) {
      fail(ErrorKind::configuration,
           "rank {} on {} has loaded NCCL {}, but zerorun was built with {}; put the folder with libnccl.so.2 of {} or newer first in LD_LIBRARY_PATH there, or "
           "build with the older one",
           rank, ranks[r].host.data(), nccl_version_text(version), nccl_version_text(built_with), nccl_version_text(built_with));
    }
    if (version != ranks[0].version) {
      fail(ErrorKind::configuration, "rank {} on {} has loaded NCCL {}, and rank {} on {} has loaded {}; expected the same on all hosts", first_rank,
           ranks[0].host.data(), nccl_version_text(ranks[0].version), rank, ranks[r].host.data(), nccl_version_text(version));
    }
  }
}

void check_options(std::span<const NcclHello> ranks, int first_rank) {
  for (size_t r = 1; r < ranks.size(); ++r) {
    const bool equal = ranks[r].strict == ranks[0].strict && ranks[r].allow_shared_gpu == ranks[0].allow_shared_gpu;
    if (!equal) {
      fail(ErrorKind::configuration, "ranks {} and {} were started with different options of their communicator; expected the same on all", first_rank,
           first_rank + static_cast<int>(r));
    }
  }
}

bool share(const NcclHello& a, const NcclHello& b) { return std::strcmp(a.gpu.data(), b.gpu.data()) == 0 && std::strcmp(a.host.data(), b.host.data()) == 0; }

void check_gpus(std::span<const NcclHello> ranks, int first_rank) {
  for (size_t second = 1; second < ranks.size(); ++second) {
    const auto first = static_cast<size_t>(std::ranges::find_if(ranks, [&](const NcclHello& of) { return share(of, ranks[second]); }) - ranks.begin());
    if (first == second) continue;
    const auto both = fmt::format("ranks {} and {} compute on the same GPU of {} ({})", first_rank + static_cast<int>(first), first_rank + static_cast<int>(second),
                                  ranks[first].host.data(), ranks[first].gpu.data());
    if (!ranks[first].allow_shared_gpu) {
      fail(ErrorKind::configuration, "{}; start fewer ranks on that host, let CUDA_VISIBLE_DEVICES show more of its GPUs, or set comm.allow_shared_gpu, which is slow",
           both);
    }
    if (ranks[first].version < kMultiRankGpu) {
      fail(ErrorKind::configuration, "{}, which NCCL {} cannot do ({} can); expected collectives through host memory there", both,
           nccl_version_text(ranks[first].version), nccl_version_text(kMultiRankGpu));
    }
    if (!ranks[first].multi_rank_gpu || !ranks[second].multi_rank_gpu) {
      fail(ErrorKind::configuration, "{}, which NCCL does only where NCCL_MULTI_RANK_GPU_ENABLE=1 is set", both);
    }
  }
}

}  // namespace

std::string RankName::text() const {
  return size == 1 ? fmt::format("rank {}", first_rank + rank) : fmt::format("rank {} (of ranks {} to {})", first_rank + rank, first_rank, first_rank + size - 1);
}

NcclHello& NcclHello::with(std::string_view gpu_uuid, std::string_view host_name) {
  set_text(gpu, gpu_uuid);
  set_text(host, host_name);
  return *this;
}

std::string nccl_version_text(int version) { return fmt::format("{}.{}.{}", version / 10000, version % 10000 / 100, version % 100); }

void check_nccl_hellos(std::span<const NcclHello> ranks, int built_with, int first_rank) {
  ZR_CHECK(!ranks.empty(), "a group of no rank");
  check_versions(ranks, built_with, first_rank);
  check_options(ranks, first_rank);
  check_gpus(ranks, first_rank);
  if (!ranks[0].has_id) throw PeerFailed(ErrorKind::io, fmt::format("rank {} could not open NCCL's group; its message says why", first_rank));
}

void check_same_bytes(std::span<const int64_t> bytes_of_ranks, int first_rank) {
  for (size_t r = 1; r < bytes_of_ranks.size(); ++r) {
    if (bytes_of_ranks[r] == bytes_of_ranks[0]) continue;
    fail(ErrorKind::disagreement, "ranks disagree: rank {} allocates a buffer of {} bytes, rank {} one of {}; all ranks must ask for the same sizes in the same order",
         first_rank, bytes_of_ranks[0], first_rank + static_cast<int>(r), bytes_of_ranks[r]);
  }
}

std::string nccl_timeout_message(const RankName& name, std::string_view what, double seconds) {
  return fmt::format("{} has waited for its peers for {:.0f} s in {} (comm.timeout_seconds); one of them did not come to it, is stuck, or cannot be reached: see "
                     "what the other ranks say, and NCCL_DEBUG=INFO",
                     name.text(), seconds, what);
}

std::string nccl_failure_message(const RankName& name, std::string_view what, std::string_view reason, std::string_view detail) {
  const auto text = fmt::format("{}: NCCL failed in {}: {}", name.text(), what, reason);
  return detail.empty() ? fmt::format("{}; NCCL_DEBUG=INFO says more", text) : fmt::format("{}; {}", text, detail);
}

}  // namespace zerorun
