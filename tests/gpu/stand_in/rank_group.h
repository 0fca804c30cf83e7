// A communicator of NCCL, over memory that the ranks of a host share. It is never blocking: what starts goes on in a thread of its own, and, as NCCL has it, it refuses a
// call while it is still at another.
#pragma once
#include <cuda_runtime_api.h>
#include <fcntl.h>
#include <nccl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/ops/kernels/number_bits.h"
#include "tests/gpu/stand_in/timeline.h"

namespace stand_in {

constexpr int kMostRanks = 8;
constexpr std::size_t kRegion = std::size_t{8} << 20;  // of each rank, through which messages go in parts
constexpr std::chrono::milliseconds kWorkTime{2};      // that what starts goes on for

// What ranks say of the call that they are at.
struct Said {
  int kind, type;
  std::size_t count;
  bool operator==(const Said&) const = default;
};

struct Shared {
  std::atomic<int> arrived, rounds;
  std::atomic<std::size_t> longest;
  std::size_t sent[kMostRanks][kMostRanks];  // bytes of a group of messages, from rank to rank
  Said said[kMostRanks];
  alignas(4096) char regions[];
};

inline std::size_t size_of(ncclDataType_t type) {
  switch (type) {
    case ncclInt8: return 1;
    case ncclFloat16:
    case ncclBfloat16: return 2;
    case ncclFloat32: return 4;
    case ncclFloat64: return 8;
    default: std::fprintf(stderr, "stand-in: NCCL's type %d is not here\n", type), std::abort();
  }
}

inline double number_at(const char* data, std::size_t i, ncclDataType_t type) {
  switch (type) {
    case ncclFloat16: return zerorun::ops::widen_fp16(reinterpret_cast<const uint16_t*>(data)[i]);
    case ncclBfloat16: return zerorun::ops::widen_bf16(reinterpret_cast<const uint16_t*>(data)[i]);
    case ncclFloat32: return reinterpret_cast<const float*>(data)[i];
    case ncclFloat64: return reinterpret_cast<const double*>(data)[i];
    default: std::abort();
  }
}

inline void put_number(double value, char* data, std::size_t i, ncclDataType_t type) {
  switch (type) {
    case ncclFloat16: reinterpret_cast<uint16_t*>(data)[i] = zerorun::ops::narrow_to_fp16(static_cast<float>(value)); break;
    case ncclBfloat16: reinterpret_cast<uint16_t*>(data)[i] = zerorun::ops::narrow_to_bf16(static_cast<float>(value)); break;
    case ncclFloat32: reinterpret_cast<float*>(data)[i] = static_cast<float>(value); break;
    case ncclFloat64: reinterpret_cast<double*>(data)[i] = value; break;
    default: std::abort();
  }
}

struct Ended {};  // thrown where the communicator is aborted while it waits for others

enum Kind { kGather, kReduceScatter, kAllReduce, kMessages };

struct Message {
  char* data;
  std::size_t bytes;
  int peer;
  bool is_sent;
};

}  // namespace stand_in

struct ncclComm {
  int rank, ranks;
  std::string path;
  stand_in::Shared* shared = nullptr;
  std::atomic<ncclResult_t> state = ncclInProgress;
  std::atomic<bool> aborted = false;
  std::atomic<int> under_way = 0;
  std::thread worker{};

  void map() {
    const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    const std::size_t bytes = sizeof(stand_in::Shared) + stand_in::kRegion * static_cast<std::size_t>(ranks);
    if (file < 0 || ftruncate(file, static_cast<off_t>(bytes)) != 0) std::abort();
    shared = static_cast<stand_in::Shared*>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
    close(file);
    if (shared == MAP_FAILED) std::abort();
  }

  char* region(int of) { return shared->regions + stand_in::kRegion * static_cast<std::size_t>(of); }

  void barrier() {
    const int round = shared->rounds;
    if (shared->arrived.fetch_add(1) + 1 == ranks) {
      shared->arrived = 0;
      ++shared->rounds;
      return;
    }
    while (shared->rounds == round) {
      if (aborted) throw stand_in::Ended{};
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
  }

  // All ranks are at the same call.
  void agree(stand_in::Said own) {
    shared->said[rank] = own;
    barrier();
    for (int r = 0; r < ranks; ++r) {
      if (shared->said[r] == own) continue;
      std::fprintf(stderr, "stand-in: ranks %d and %d are at different collectives: %d of %zu and %d of %zu\n", rank, r, own.kind, own.count, shared->said[r].kind, shared->said[r].count);
      std::abort();
    }
    barrier();
  }

  // Runs `step` as NCCL does: in a thread, while the communicator is busy.
  template <typename Step>
  ncclResult_t start(Step step) {
    if (state != ncclSuccess) return state == ncclInProgress ? ncclInvalidArgument : state.load();
    return start_first(std::move(step));
  }
  template <typename Step>
  ncclResult_t start_first(Step step) {
    state = ncclInProgress;
    if (worker.joinable()) worker.join();
    worker = std::thread([this, step = std::move(step)] {
      std::this_thread::sleep_for(stand_in::kWorkTime);
      try {
        step();
        state = ncclSuccess;
      } catch (const stand_in::Ended&) {
        state = ncclInternalError;
      }
    });
    return ncclInProgress;
  }

  // In the order of the stream, once NCCL has got to it.
  template <typename Body>
  ncclResult_t launch(cudaStream_t stream, stand_in::Said said, Body body) {
    return start([this, &timeline = stand_in::timeline_of(stream), said, body = std::move(body)] {
      ++under_way;
      timeline.submit([this, said, body] {
        try {
          if (!stand_in::skips_kernels()) {
            agree(said);
            body();
          }
        } catch (const stand_in::Ended&) {
        }
        --under_way;
      });
    });
  }

  void gather(const char* from, char* to, std::size_t bytes) {
    for (std::size_t at = 0; at < bytes; at += stand_in::kRegion) {
      const std::size_t part = std::min(stand_in::kRegion, bytes - at);
      std::memcpy(region(rank), from + at, part);
      barrier();
      for (int r = 0; r < ranks; ++r) std::memmove(to + static_cast<std::size_t>(r) * bytes + at, region(r), part);
      barrier();
    }
  }

  // Of `parts` parts of `count` numbers each the sums of one, or where there is one part of all.
  void reduce(const char* from, char* to, std::size_t count, ncclDataType_t type, int parts) {
    const std::size_t size = stand_in::size_of(type), at_once = stand_in::kRegion / static_cast<std::size_t>(parts) / size;
    for (std::size_t at = 0; at < count; at += at_once) {
      const std::size_t some = std::min(at_once, count - at);
      for (int p = 0; p < parts; ++p) std::memcpy(region(rank) + static_cast<std::size_t>(p) * some * size, from + (static_cast<std::size_t>(p) * count + at) * size, some * size);
      barrier();
      const std::size_t own = parts == 1 ? 0 : static_cast<std::size_t>(rank) * some;
      for (std::size_t i = 0; i < some; ++i) {
        double sum = 0;
        for (int r = 0; r < ranks; ++r) sum += stand_in::number_at(region(r), own + i, type);
        stand_in::put_number(sum, to, at + i, type);
      }
      barrier();
    }
  }

  void exchange(const std::vector<stand_in::Message>& messages) {
    std::size_t longest = 0;
    for (const auto& message : messages) longest = std::max(longest, message.bytes);
    if (rank == 0) shared->longest = 0;
    for (int r = 0; r < ranks; ++r) shared->sent[rank][r] = 0;
    for (const auto& message : messages) {
      if (message.is_sent) shared->sent[rank][message.peer] = message.bytes;
    }
    barrier();
    for (const auto& message : messages) {
      if (message.is_sent || message.bytes == shared->sent[message.peer][rank]) continue;
      std::fprintf(stderr, "stand-in: rank %d sends %zu bytes to rank %d, which expects %zu\n", message.peer, shared->sent[message.peer][rank], rank, message.bytes);
      std::abort();
    }
    for (std::size_t seen = shared->longest; seen < longest && !shared->longest.compare_exchange_weak(seen, longest);) {
    }
    barrier();
    const std::size_t slot = stand_in::kRegion / stand_in::kMostRanks, all = shared->longest;
    for (std::size_t at = 0; at < all; at += slot) {
      const auto part = [&](const stand_in::Message& message) { return message.bytes <= at ? 0 : std::min(slot, message.bytes - at); };
      for (const auto& message : messages) {
        if (message.is_sent) std::memcpy(region(rank) + slot * static_cast<std::size_t>(message.peer), message.data + at, part(message));
      }
      barrier();
      for (const auto& message : messages) {
        if (!message.is_sent) std::memcpy(message.data + at, region(message.peer) + slot * static_cast<std::size_t>(rank), part(message));
      }
      barrier();
    }
  }

  void finish() {
    if (worker.joinable()) worker.join();  // it may be about to launch
    while (under_way > 0) std::this_thread::sleep_for(std::chrono::microseconds(100));
    if (shared) munmap(shared, sizeof(stand_in::Shared) + stand_in::kRegion * static_cast<std::size_t>(ranks));
  }
};
