#include "launcher/estimate/zero_formulas.h"

#include <fmt/format.h>

namespace zerorun {

std::array<ZeroStage, 4> zero_formulas(int64_t parameters, const EstimateOptions& options) {
  const int64_t p = options.parameter_bytes(), g = options.gradient_bytes(), k = options.optimizer_bytes(), ranks = options.ranks();
  // To the nearest byte; ranks divide the whole of what they share.
  const auto kept = [&](int64_t bytes, bool sharded) { return sharded ? (parameters * bytes + ranks / 2) / ranks : parameters * bytes; };
  const auto sent = [&](int64_t bytes) { return parameters * bytes - kept(bytes, true); };
  std::array<ZeroStage, 4> stages;
  for (int stage = 0; stage < 4; ++stage) {
    auto& found = stages[stage];
    found.parameters = kept(p, stage >= 3);
    found.gradients = kept(g, stage >= 2);
    found.optimizer = kept(k, stage >= 1);
    if (stage == 0) {
      found.all_reduce = 2 * sent(g);
    } else {
      found.reduce_scatter = sent(g);
      found.all_gather = (stage == 3 ? 2 : 1) * sent(p);
    }
  }
  stages[0].states_formula = fmt::format("({} + {} + {}) P", p, g, k);
  stages[1].states_formula = fmt::format("({} + {}) P + {} P/N", p, g, k);
  stages[2].states_formula = fmt::format("{} P + ({} + {}) P/N", p, g, k);
  stages[3].states_formula = fmt::format("({} + {} + {}) P/N", p, g, k);
  stages[0].traffic_formula = fmt::format("2 x {}P", g);
  for (const int stage : {1, 2}) stages[stage].traffic_formula = fmt::format("{}P + {}P", g, p);
  stages[3].traffic_formula = fmt::format("2 x {}P + {}P", p, g);
  return stages;
}

}  // namespace zerorun
