#include "launcher/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "launcher/placement.h"
#include "tests/data_path.h"
#include "tests/launcher/expect_error.h"

namespace zerorun {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

template <typename Function>
void expect_error(ErrorKind kind, const std::string& words, Function&& function) {
  EXPECT_THAT(message_of(kind, function), HasSubstr(words));
}

gpu::Info info(int index, const std::string& name = "H100") {
  gpu::Info info;
  info.index = index;
  info.name = name;
  info.uuid = "GPU-" + std::to_string(index);
  return info;
}

const DevicesAtHand kTwo{{info(0), info(1)}, ""};
const DevicesAtHand kNone{{}, "this machine has no NVIDIA driver (libcuda.so.1)"};

Settings asking(Settings::Device device, Settings::Backend backend = Settings::Backend::automatic) {
  Settings settings;
  settings.run.device = device;
  settings.comm.backend = backend;
  return settings;
}

using Device = Settings::Device;
using Backend = Settings::Backend;

TEST(ChooseGpu, ARankTakesTheOneOfItsNumberOnItsHost) {
  EXPECT_EQ(choose_gpu(asking(Device::automatic), kTwo, 1)->index, 1);
  EXPECT_EQ(choose_gpu(asking(Device::cuda), kTwo, 0)->index, 0);
}

TEST(ChooseGpu, ARankThatSeesOnlyItsOwnTakesThat) { EXPECT_EQ(choose_gpu(asking(Device::automatic), {{info(0)}, ""}, 3)->index, 0); }

TEST(ChooseGpu, ThereIsNoneOnACpuRunAndNoneIsNeededWhereNoneIs) {
  EXPECT_FALSE(choose_gpu(asking(Device::cpu), kTwo, 0));
  EXPECT_FALSE(choose_gpu(asking(Device::automatic), kNone, 0));
  EXPECT_FALSE(choose_gpu(asking(Device::automatic, Backend::mpi), kNone, 0));
}

TEST(ChooseGpu, WhatIsAskedForAndNotThereIsSaid) {
  expect_error(ErrorKind::configuration, "run.device is cuda, but this machine has no NVIDIA driver", [] { choose_gpu(asking(Device::cuda), kNone, 0); });
  expect_error(ErrorKind::configuration, "comm.backend is nccl, which connects GPUs, but this machine has no NVIDIA driver",
               [] { choose_gpu(asking(Device::automatic, Backend::nccl), kNone, 0); });
  expect_error(ErrorKind::configuration, "comm.backend is nccl, which connects GPUs, but run.device is cpu", [] { choose_gpu(asking(Device::cpu, Backend::nccl), kTwo, 0); });
}

DeviceOfRank rank_with(const gpu::Info& gpu) { return describe(gpu, kTwo, "a"); }

TEST(CheckDevices, RanksWithGpusOfTheirOwnAreFine) {
  EXPECT_THAT(check_devices({}, {rank_with(info(0)), rank_with(info(1))}), IsEmpty());
  EXPECT_THAT(check_devices({}, {describe({}, kNone, "a"), describe({}, kNone, "b")}), IsEmpty());
}

TEST(CheckDevices, ARankWithoutAGpuAmongOthersWithOneIsNamed) {
  expect_error(ErrorKind::configuration, "rank 0 has a GPU (H100), but rank 1 on b has none: this machine has no NVIDIA driver (libcuda.so.1)",
               [] { check_devices({}, {rank_with(info(0)), describe({}, kNone, "b")}); });
}

TEST(CheckDevices, TwoRanksOnOneGpuAreNamedUnlessTheyMay) {
  const std::vector<DeviceOfRank> shared{rank_with(info(0)), rank_with(info(1)), rank_with(info(1))};
  expect_error(ErrorKind::configuration, "ranks 1 and 2 on a share one GPU (H100, GPU-1)", [&] { check_devices({}, shared); });
  Settings settings;
  settings.comm.allow_shared_gpu = true;
  EXPECT_THAT(check_devices(settings, shared), IsEmpty());
  EXPECT_TRUE(shares_gpus(shared));
  EXPECT_FALSE(shares_gpus({rank_with(info(0)), rank_with(info(1))}));
  EXPECT_FALSE(shares_gpus({describe({}, kNone, "a"), describe({}, kNone, "a")}));
  const std::vector three{rank_with(info(0)), rank_with(info(1)), rank_with(info(0))};
  EXPECT_EQ(ranks_on_gpu(three, 0), 2);
  EXPECT_EQ(ranks_on_gpu(three, 1), 1);
}

TEST(CheckDevices, GpusOfDifferentKindsAreNoted) {
  EXPECT_THAT(check_devices({}, {rank_with(info(0)), rank_with(info(1, "A100"))}), ElementsAre(HasSubstr("GPUs of different kinds work together (A100, H100)")));
}

const std::string kTopology = data_path("launcher/data/two_nodes.xml");

TEST(Placement, TheProcessorsNearADeviceAreThoseOfItsNode) { EXPECT_THAT(processors_near("0000:17:00.0", kTopology), ElementsAre(2, 3)); }

TEST(Placement, OfADeviceThatTheMachineDoesNotKnowNothingIsNear) { EXPECT_THAT(processors_near("0000:99:00.0", kTopology), IsEmpty()); }

}  // namespace
}  // namespace zerorun
