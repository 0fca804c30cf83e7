// Stages are data. Rank r owns slice r of every group at every stage; a Sharding only says what else stays resident.
#pragma once

namespace zerorun {

// True: a rank keeps its own slice, 1/N. False: it keeps the whole. Where gradients or parameters are sharded, so is the
// optimizer: a rank updates what it owns.
struct Sharding {
  bool optimizer = false;
  bool gradients = false;
  bool parameters = false;

  // ZeRO's stages (Rajbhandari et al. 2020). REQUIRES 0 <= stage <= 3.
  static Sharding of_stage(int stage) { return {stage >= 1, stage >= 2, stage >= 3}; }
};

}  // namespace zerorun
