// What ranks tell each other before they make an NCCL communicator, what is refused of it, and the words of what fails later. No NCCL in here: it is the
// same with and without a GPU.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "comm/collective.h"

namespace zerorun {

// How a rank is called in messages, and among how many it is.
struct RankName {
  int rank = 0;
  int first_rank = 0;  // the number of the group's first rank among all
  int size = 1;

  // "rank 5 (of ranks 4 to 7)".
  std::string text() const;
};

// Copied as bytes.
struct NcclHello {
  std::array<char, 128> id{};  // rank 0's names the group
  std::array<char, 64> gpu{};  // its uuid
  std::array<char, 64> host{};
  int32_t version = 0;  // of the library that is loaded
  int8_t has_id = 0, strict = 0, allow_shared_gpu = 0, multi_rank_gpu = 0;

  NcclHello& with(std::string_view gpu_uuid, std::string_view host_name);
};

// "2.28.9" for 22809.
std::string nccl_version_text(int version);

// Of all ranks, in their order: the same verdict on all. Throws Error(configuration) where a rank's NCCL is older than `built_with`, where ranks have different
// ones, or other options, and where two ranks compute on one GPU, unless they may and their NCCL can. PeerFailed where rank 0 could not make an id.
void check_nccl_hellos(std::span<const NcclHello> ranks, int built_with, int first_rank = 0);

// All ranks must have asked for the same. Throws Error(disagreement) that says who asked for what.
void check_same_bytes(std::span<const int64_t> bytes_of_ranks, int first_rank);

// "rank 1 (of ranks 0 to 3) has waited for its peers for 60 s in <what> (comm.timeout_seconds)..."
std::string nccl_timeout_message(const RankName& name, std::string_view what, double seconds);
// `reason` is NCCL's: "rank 1 (of ranks 0 to 3): NCCL failed in <what>: unhandled system error; <detail>".
std::string nccl_failure_message(const RankName& name, std::string_view what, std::string_view reason, std::string_view detail);

}  // namespace zerorun
