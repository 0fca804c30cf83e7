// What the emulation has to see for the tests of kernels to be worth something.
#include <cuda_runtime.h>
#include <gtest/gtest.h>
#include <gtest/gtest-spi.h>

#include <stdexcept>
#include <vector>

#include "core/gpu/launch.cuh"
#include "core/gpu/reduce.cuh"
#include "tests/gpu/device_buffer.h"

namespace zerorun::gpu {
namespace {

using device::Buffer;
using device::set_order;

void write_index(int* to) { to[blockIdx.x * blockDim.x + threadIdx.x] = static_cast<int>(blockIdx.x * 1000 + threadIdx.x); }

TEST(Emulation, RunsEveryThreadOfEveryBlock) {
  for (const unsigned int seed : {0u, 5u}) {
    set_order(seed);
    const Buffer<int> to(3 * 64);
    launch("write_index", write_index, 3, 64, GpuStream{}, to.data());
    for (int i = 0; i < 3 * 64; ++i) EXPECT_EQ(to.values()[static_cast<size_t>(i)], i / 64 * 1000 + i % 64);
  }
  set_order(0);
}

void sum_all(int* to) {
  __shared__ int shared[8];
  const int first = over_block<Add>(static_cast<int>(threadIdx.x), shared), second = over_block<Add>(first, shared);
  to[threadIdx.x] = first + second;
}

TEST(Emulation, ThreadsMeetAtBarriersAndExchangeValues) {
  for (const int threads : {32, 256}) {
    for (const unsigned int seed : {0u, 1u, 2u}) {
      set_order(seed);
      const Buffer<int> to(threads);
      launch("sum_all", sum_all, 1, threads, GpuStream{}, to.data());
      const int sum = threads * (threads - 1) / 2;
      EXPECT_EQ(to.values(), std::vector<int>(static_cast<size_t>(threads), sum + sum * threads));
    }
  }
  set_order(0);
}

void shuffle(int* to) {
  const int lane = static_cast<int>(threadIdx.x);
  to[lane] = __shfl_down_sync(0xffffffffu, lane, 3) + 100 * __shfl_sync(0xffffffffu, lane, 7);
}

TEST(Emulation, ShufflesAsCudaDoes) {
  const Buffer<int> to(32);
  launch("shuffle", shuffle, 1, 32, GpuStream{}, to.data());
  for (int i = 0; i < 32; ++i) EXPECT_EQ(to.values()[static_cast<size_t>(i)], 700 + (i + 3 < 32 ? i + 3 : i));
}

void half_at_barrier(int) {
  if (threadIdx.x < 32) __syncthreads();
}
void half_at_shuffle(int* to) {
  if (threadIdx.x % 2 == 0) *to = __shfl_xor_sync(0xffffffffu, 1, 2);
}
void some_shuffle_where_others_wait(int* to) {
  if (threadIdx.x % 2 == 0) *to = __shfl_xor_sync(0xffffffffu, 1, 2);
  if (threadIdx.x % 2 == 1) __syncthreads();
}

TEST(Emulation, ABarrierThatSomeDoNotReachIsAnError) {
  const Buffer<int> to(1);
  EXPECT_THROW(launch("half_at_barrier", half_at_barrier, 1, 64, GpuStream{}, 0), std::logic_error);
  EXPECT_THROW(launch("half_at_shuffle", half_at_shuffle, 1, 32, GpuStream{}, to.data()), std::logic_error);
  EXPECT_THROW(launch("some_shuffle", some_shuffle_where_others_wait, 1, 32, GpuStream{}, to.data()), std::logic_error);
  EXPECT_THROW(launch("write_index", write_index, 1, 33, GpuStream{}, to.data()), std::logic_error) << "no whole warp";
}

// Kernels with a mistake: each reads what another thread or block may not have written yet.
void without_barrier(int* to) {
  __shared__ int shared[64];
  shared[threadIdx.x] = static_cast<int>(threadIdx.x);
  to[threadIdx.x] = shared[63 - threadIdx.x];
  shared[threadIdx.x] = -1;
}
void reads_the_block_before(int* to) { to[blockIdx.x] = blockIdx.x == 0 ? 1 : to[blockIdx.x - 1] + 1; }

TEST(Emulation, AKernelThatNeedsAnOrderGivesOtherValuesInAnother) {
  const auto of = [](void (*kernel)(int*), unsigned int blocks, int threads, unsigned int seed) {
    set_order(seed);
    const Buffer<int> to(std::vector<int>(64, 0));
    launch("a mistake", kernel, blocks, threads, GpuStream{}, to.data());
    set_order(0);
    return to.values();
  };
  EXPECT_NE(of(without_barrier, 1, 64, 0), of(without_barrier, 1, 64, 1));
  EXPECT_NE(of(reads_the_block_before, 64, 32, 0), of(reads_the_block_before, 64, 32, 1));
}

void writes_past_the_end(char* to, int at) {
  if (threadIdx.x == 0) to[at] = 1;
}

TEST(Emulation, RedZonesShowWhatWritesOutside) {
  for (const int at : {-1, 10, -200, 200}) {
    EXPECT_NONFATAL_FAILURE(
        {
          const Buffer<char> to(10);
          launch("writes_past_the_end", writes_past_the_end, 1, 32, GpuStream{}, to.data(), at);
        },
        "a kernel wrote to byte");
  }
}

}  // namespace
}  // namespace zerorun::gpu
