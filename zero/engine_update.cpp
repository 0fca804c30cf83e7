// What a step's sums over ranks are, and what follows from them.
#include <cmath>

#include "core/error.h"
#include "zero/control.h"
#include "zero/engine.h"
#include "zero/graph.h"

namespace zerorun {

StepSums Engine::sum_on_host(const Carry& losses) {
  StepSums own{.squared_norm = norms_->total()};
  for (const auto& loss : losses) own.loss += value_of(loss);
  return sum_over_ranks(communicator_, own);
}

// The update is launched before the host knows whether it counts: where not, it writes nothing.
StepSums Engine::update_by_decision(const Carry& losses) {
  decision_->decide(losses, *norms_, {scaler_.scale(), options_.max_norm, options_.check_finite || scaler_.is_dynamic()});
  update_.control = decision_->control();
  update();
  return decision_->wait();
}

// What is no finite number on one rank is none in the sums, so that all ranks decide alike.
bool Engine::accept(const StepResult& result) {
  const bool finite = std::isfinite(result.loss) && std::isfinite(result.gradient_norm);
  if (scaler_.is_dynamic()) {
    scaler_.step(finite);
  } else if (!finite && options_.check_finite) {
    fail(ErrorKind::non_finite, "step {}: loss {}, gradient norm {}; a lower learning rate or a longer warm-up often helps", steps_, result.loss,
         result.gradient_norm);
  }
  return finite || (!options_.check_finite && !scaler_.is_dynamic());
}

}  // namespace zerorun
