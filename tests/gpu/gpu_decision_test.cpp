// What a step decides on a GPU, against what the host decides from the same sums.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/gpu/device_buffer.h"
#include "zero/gradient_norm.h"
#include "zero/update_control.h"

namespace zerorun {
namespace {

using namespace device;

UpdateControl decide(const std::vector<double>& sums, const DecisionRule& rule) {
  const Buffer<double> of(sums);
  const Buffer<UpdateControl> control(1);
  kernels::decide_update(of.data(), static_cast<int>(sums.size() / 2), rule, control.data(), GpuStream{});
  return control.values()[0];
}

TEST(GpuDecision, TheClipFactorIsThatOfTheNormOfAllRanks) {
  for (const double scale : {1.0, 1024.0}) {
    for (const double max_norm : {0.0, 0.5, 2.0, 1e9}) {
      const std::vector<double> sums{3, 1.5 * scale * scale, 2, 0.25 * scale * scale, 1, 7 * scale * scale};
      const auto control = decide(sums, {scale, max_norm, true});
      EXPECT_EQ(control.clip, static_cast<float>(clip_factor(std::sqrt(8.75), max_norm))) << "scale " << scale << ", at most " << max_norm;
      EXPECT_EQ(control.accepted, 1);
    }
  }
}

TEST(GpuDecision, WhatIsNotFiniteOnOneRankIsAcceptedNowhere) {
  for (const double wrong : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    for (const size_t place : {0, 1, 2, 3}) {
      std::vector<double> sums{1, 2, 3, 4};
      sums[place] = wrong;
      EXPECT_EQ(decide(sums, {1, 1, true}).accepted, 0);
      EXPECT_EQ(decide(sums, {1, 1, false}).accepted, 1) << "where nothing has to be finite";
    }
  }
}

}  // namespace
}  // namespace zerorun
