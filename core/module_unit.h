// A torch::nn::Module of a user's as a unit. The adapter takes a factory, not a module: nobody holds the module's weights but
// the groups. The factory is called when the unit is made, to learn names and shapes; for each group, to take the rank's
// slice of the initial values; and once for each set of weights that forward is called with, for an instance whose
// parameters then are the weights handed in, without a copy. Each call builds the module on the host and frees it again
// before the next unit's, in category `host`; so a rank holds one module at a time, never the model.
//
// REQUIRES of the module: parameters are float, contiguous and trainable, there is at least one, and they are named as
// register_parameter and register_module name them; LibTorch's default generator is all that its values come from. It is
// seeded by (seed, the unit's name) and restored: initial values are the same on every rank, at every world size. Random
// numbers that forward draws are LibTorch's own, and differ between ranks and runs.
//
// Buffers that are no parameters are replicated, in category `parameters`; as an instance knows no run's seed, random ones depend on
// the unit's name only. A forward that changes a buffer or a parameter throws Error(configuration), as the ranks would part: no
// statistics of batch norm.
//
// The dry run needs ops that run on the meta device (dry_run.h says which does not). Where the module reads a tensor twice,
// LibTorch adds the two gradients in place on cpu and out of place on meta: the prediction is up to that tensor higher.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "core/error.h"
#include "core/unit.h"

namespace torch::nn {
class Module;
}

namespace zerorun {

using ModuleFactory = std::function<std::shared_ptr<torch::nn::Module>()>;
using ModuleForward = std::function<Carry(torch::nn::Module&, const StepContext&, Carry)>;

// Parameters are named "<name>.<the module's name for it>". `forward` may be called by several ranks at once, each with an
// instance of its own. Throws Error(configuration) for a module that breaks what is required above.
std::shared_ptr<const Unit> make_module_unit(std::string name, ModuleFactory factory, ModuleForward forward);

// The same with the module's own type, which `factory` returns a shared_ptr of: forward(module, context, carry) -> Carry.
template <typename Factory, typename Forward>
std::shared_ptr<const Unit> module_unit(std::string name, Factory factory, Forward forward) {
  using Module = typename std::invoke_result_t<Factory>::element_type;
  return make_module_unit(std::move(name), std::move(factory),
                          [forward = std::move(forward)](torch::nn::Module& module, const StepContext& context, Carry carry) {
                            return Carry(forward(static_cast<Module&>(module), context, std::move(carry)));
                          });
}

// The usual module: one tensor in, one out.
template <typename Factory>
std::shared_ptr<const Unit> module_unit(std::string name, Factory factory) {
  return module_unit(std::move(name), std::move(factory), [](auto& module, const StepContext&, Carry carry) {
    ZR_CHECK(carry.size() == 1, "{} tensors flow into a module that takes one; hand module_unit a forward of your own", carry.size());
    return Carry{module.forward(carry[0])};
  });
}

}  // namespace zerorun
