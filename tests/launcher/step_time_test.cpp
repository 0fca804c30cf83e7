// The time that rates allow: what bounds each phase, or the sum of its parts.
#include "launcher/step_time.h"

#include <gtest/gtest.h>

#include "zero/step_work.h"

namespace zerorun {
namespace {

// Seconds are easily seen: 8 of computation forward and 16 backward; 2 and 1 to the device, 4 to the host; 3 of updates.
StepWork work() {
  StepWork work;
  work.forward = {.operations = {.flops = 800, .operands = 0, .moved = 0}, .moves = {.up = 20, .down = 0, .disk_read = 0, .disk_written = 0}, .updated = 30, .sent = 0};
  work.backward = {.operations = {.flops = 1600, .operands = 0, .moved = 0}, .moves = {.up = 10, .down = 40, .disk_read = 0, .disk_written = 0}, .updated = 0, .sent = 0};
  return work;
}

Rates rates() {
  Rates rates;
  rates.memory_copy = rates.host_to_device = rates.device_to_host = rates.adamw = 10;
  rates.multiply = {{"fp32", 100}, {"bf16", 1600}};
  return rates;
}

const Computation kOverlapped{}, kBlocked{.dtype = "fp32", .overlaps = false}, kFast{.dtype = "bf16"};

TEST(StepTime, IsThatOfTheSlowestOfEachPhaseOrTheSumOfAll) {
  const auto overlapped = step_time(work(), rates(), kOverlapped), blocked = step_time(work(), rates(), kBlocked);
  EXPECT_DOUBLE_EQ(overlapped->total(), 8 + 16);
  EXPECT_EQ(overlapped->bounded_by(), Resource::compute);
  EXPECT_DOUBLE_EQ(blocked->total(), 8 + 2 + 3 + 16 + 1 + 4);
  const auto fast = step_time(work(), rates(), kFast);
  EXPECT_DOUBLE_EQ(fast->total(), 3 + 4);
  EXPECT_EQ(fast->bounded_by(), Resource::to_host);
  EXPECT_EQ(largest_of(fast->seconds[0]), Resource::update);
}

TEST(StepTime, AnUpdateWithFewerStatesMovesFewerBytes) {
  auto sgd = kFast;
  sgd.optimizer_states = 0;
  EXPECT_DOUBLE_EQ(step_time(work(), rates(), sgd)->seconds[0][Resource::update], 3 * 12 / 28.0);
}

TEST(StepTime, WhatTheDeviceUpdatesComesAfterTheRest) {
  auto resident = work();
  resident.updated = std::exchange(resident.forward.updated, 0);
  EXPECT_DOUBLE_EQ(step_time(resident, rates(), kOverlapped)->total(), 8 + 16 + 3);
}

TEST(StepTime, ADiskIsSharedByWhatIsReadAndWrittenAtTheSameTime) {
  auto on_disk = work();
  on_disk.forward.moves.disk_read = 100;
  on_disk.forward.moves.disk_written = 50;
  auto measured = rates();
  EXPECT_FALSE(step_time(on_disk, measured, kOverlapped)) << "the disk was not measured";
  measured.disk_read = measured.disk_write = measured.disk_both = 10;
  EXPECT_DOUBLE_EQ(step_time(on_disk, measured, kOverlapped)->total(), 15 + 16);
  EXPECT_EQ(step_time(on_disk, measured, kFast)->bounded_by(), Resource::disk_read);
  EXPECT_DOUBLE_EQ(step_time(on_disk, measured, kBlocked)->total(), 8 + 15 + 16 + 1 + 4) << "what is read is worked on, and written, meanwhile";
  measured.disk_both = 5;
  EXPECT_DOUBLE_EQ(step_time(on_disk, measured, kOverlapped)->total(), (2 * 50 / 5.0 + 50 / 10.0) + 16);
  on_disk.forward.moves.disk_written = 0;
  EXPECT_DOUBLE_EQ(step_time(on_disk, measured, kOverlapped)->total(), 10 + 16) << "only read";
}

TEST(StepTime, ProductsTakeAtLeastWhatTheirOperandsDo) {
  auto thin = work();
  thin.forward.operations.operands = 90;  // 9 s, and 8 for the operations
  thin.backward.operations.operands = 150;
  EXPECT_DOUBLE_EQ(step_time(thin, rates(), kOverlapped)->total(), 9 + 16);
}

TEST(StepTime, WhatMovesInMemoryTakesTurnsWithTheProducts) {
  auto moves = work();
  moves.forward.operations.moved = 50;
  moves.backward.operations.moved = 200;
  const auto time = step_time(moves, rates(), kOverlapped);
  EXPECT_DOUBLE_EQ(time->of_phase(0), 8 + 5);
  EXPECT_DOUBLE_EQ(time->of_phase(1), 16 + 20);
  EXPECT_EQ(time->bounded_by(), Resource::memory);
  EXPECT_EQ(largest_of(time->seconds[0]), Resource::compute);
  EXPECT_DOUBLE_EQ(step_time(moves, rates(), kBlocked)->total(), 8 + 5 + 2 + 3 + 16 + 20 + 1 + 4);
  moves.backward.moves.down = 350;  // longer than each, and shorter than both
  EXPECT_EQ(largest_of(step_time(moves, rates(), kOverlapped)->seconds[1]), Resource::memory);
}

TEST(StepTime, WhatRanksSendComesOnTopWhereNothingIsGatheredAhead) {
  auto sends = work();
  sends.forward.sent = 60;    // 6 s of 8
  sends.backward.sent = 300;  // 30 s, of 16
  sends.published = 20;
  auto on_links = rates();
  on_links.links = 20;  // two ranks of a host share it
  const RanksAt at{.ranks = 2, .hosts = 1};
  EXPECT_DOUBLE_EQ(step_time(sends, on_links, {.at = at})->total(), 8 + 30 + 2);
  EXPECT_DOUBLE_EQ(step_time(sends, on_links, {.gathers_ahead = false, .at = at})->total(), (8 + 6) + (16 + 30) + 2);
  EXPECT_DOUBLE_EQ(step_time(sends, on_links, {.overlaps = false, .at = at})->of_phase(1), 30 + (10 + 40) / 5.0) << "beside the products, then moves at half the rate";
}

}  // namespace
}  // namespace zerorun
