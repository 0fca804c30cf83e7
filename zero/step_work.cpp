#include "zero/step_work.h"

#include <limits>

namespace zerorun {
namespace {

// Calls visit(a, b) for every amount of both.
template <typename Visit>
void for_each_amount(StepWork& a, const StepWork& b, Visit&& visit) {
  for (const auto phase : {&StepWork::forward, &StepWork::backward}) {
    auto& of_a = a.*phase;
    const auto& of_b = b.*phase;
    for (const auto count : {&OperationCount::flops, &OperationCount::operands, &OperationCount::moved}) visit(of_a.operations.*count, of_b.operations.*count);
    for (const auto amount : {&OffloadTraffic::up, &OffloadTraffic::down, &OffloadTraffic::disk_read, &OffloadTraffic::disk_written}) visit(of_a.moves.*amount, of_b.moves.*amount);
    visit(of_a.updated, of_b.updated);
    visit(of_a.sent, of_b.sent);
  }
  visit(a.updated, b.updated);
  visit(a.published, b.published);
}

}  // namespace

StepWork difference(const StepWork& more, const StepWork& less) {
  StepWork rest = more;
  for_each_amount(rest, less, [](int64_t& amount, int64_t taken) { amount -= taken; });
  return rest;
}

StepWork sum(const StepWork& work, const StepWork& more, int64_t times) {
  StepWork all = work;
  for_each_amount(all, more, [times](int64_t& amount, int64_t added) {
    int64_t product = 0;
    if (__builtin_mul_overflow(added, times, &product) || __builtin_add_overflow(amount, product, &amount)) amount = std::numeric_limits<int64_t>::max();
  });
  return all;
}

}  // namespace zerorun
