#include "offload/link.h"

#include <gtest/gtest.h>

#include <chrono>

namespace zerorun {
namespace {

double seconds_of(Link link, int64_t bytes) {
  const auto stream = through(link, std::make_unique<ThreadStream>());
  const auto start = std::chrono::steady_clock::now();
  stream->submit({.run = [] {}, .bytes = bytes, .label = {}}).wait();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

TEST(Link, TakesAtLeastItsLatencyAndItsBytes) {
  EXPECT_GE(seconds_of({.bytes_per_second = 1e6, .latency_seconds = 0}, 30'000), 0.03);
  EXPECT_GE(seconds_of({.bytes_per_second = 1e9, .latency_seconds = 0.02}, 1), 0.02);
}

TEST(Link, KeepsOrderAndErrorsOfItsStream) {
  const auto stream = through({.bytes_per_second = 1e9, .latency_seconds = 0.001}, std::make_unique<ThreadStream>());
  std::vector<int> done;
  for (int i = 0; i < 5; ++i) stream->submit([&done, i] { done.push_back(i); });
  stream->submit([] { throw std::runtime_error("lost"); });
  const Event after = stream->submit([&done] { done.push_back(5); });
  EXPECT_THROW(after.wait(), std::runtime_error);
  EXPECT_EQ(done, (std::vector{0, 1, 2, 3, 4}));
}

}  // namespace
}  // namespace zerorun
