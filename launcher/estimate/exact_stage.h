// What zerorun's engine keeps and sends at a stage, from the layout of its groups and the schedule of a step: for models that are only declared too.
#pragma once
#include "core/model.h"
#include "launcher/estimate/estimate_report.h"
#include "zero/precision.h"

namespace zerorun {

// Of one rank and a step of one micro-batch; AdamW, one unit gathered ahead, every rank with slots of its own.
ExactStage exact_stage(const Model& model, int stage, int ranks, const Precision& precision);

}  // namespace zerorun
