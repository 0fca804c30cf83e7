// Passes that go forward and do nothing else.
#include "core/operation_count.h"
#include "zero/control.h"
#include "zero/engine.h"
#include "zero/graph.h"

namespace zerorun {

// Of what flows, what the last unit returns.
Carry Engine::run_forward(const StepContext& context) {
  Carry flow;
  work_ = {};
  count_moves(&work_.forward);
  const CountScope operations(work_.forward.operations);
  const SentScope sent(options_.sent, work_.forward.sent);
  for (int v = 0; const auto& visit : evaluation_.schedule.visits) {
    prepare(evaluation_, v++, {});
    const auto span = trace("evaluation of ", model_.unit(visit.unit).name());
    const MemoryScope scope(ledger_, Category::activations);
    flow = forward(visit.unit, context, std::move(flow), /*graph=*/false);
    finish(visit, {});
  }
  count_moves(nullptr);
  return flow;
}

LossSum Engine::evaluate(const Batch& batch) {
  StepContext context{.mode = Mode::evaluate};
  stage_.restart();
  stage_.place(batch.tokens, batch.targets, /*ordered=*/false, context);
  const Carry flow = run_forward(context);
  return {sum_over_ranks(communicator_, {value_of(flow[0]), 0}).loss, total_targets(communicator_, {&batch, 1})};
}

at::Tensor Engine::infer(const at::Tensor& tokens, KeyValueCache& cache) {
  const Mode mode = cache.begin_pass(tokens.size(0), tokens.size(1));
  StepContext context{.mode = mode, .cache = &cache};
  stage_.restart();
  stage_.place(tokens, {}, /*ordered=*/false, context);
  return to_host(run_forward(context)[0]);
}

}  // namespace zerorun
