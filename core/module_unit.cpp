#include "core/module_unit.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ATen.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/nn/module.h>

#include <algorithm>
#include <cstring>
#include <list>
#include <mutex>
#include <set>

#include "core/memory.h"
#include "core/random.h"

namespace zerorun {
namespace {

using torch::nn::Module;

// A module and the tensors in it, each once, in the order of its declaration.
struct Built {
  std::shared_ptr<Module> module;
  std::vector<std::string> names;
  std::vector<at::Tensor> parameters;
  std::vector<at::Tensor> buffers;
};

// The default generator of the process, seeded while this lives, and then as it was. One at a time.
class SeededGenerator {
 public:
  explicit SeededGenerator(uint64_t seed) : lock_(mutex()), generator_(at::detail::getDefaultCPUGenerator()), state_(generator_.get_state()) {
    generator_.set_current_seed(seed);
  }
  ~SeededGenerator() { generator_.set_state(state_); }

 private:
  static std::mutex& mutex() {
    static std::mutex mutex;
    return mutex;
  }

  std::lock_guard<std::mutex> lock_;
  at::Generator generator_;
  at::Tensor state_;
};

// The factory of a unit: shared by the unit and the initial values of its parameters.
class Builder {
 public:
  Builder(std::string name, ModuleFactory factory) : name_(std::move(name)), factory_(std::move(factory)) {}

  Built build(uint64_t seed) const {
    const at::AutoGradMode grad_mode(true);
    Built built;
    {
      const SeededGenerator seeded(philox_seed(seed));
      built.module = factory_();
    }
    ZR_CHECK(built.module, "the factory of unit {} returned no module", name_);
    std::set<const void*> known;
    for (const auto& item : built.module->named_parameters()) {
      if (!known.insert(item.value().unsafeGetTensorImpl()).second) continue;
      built.names.push_back(name_ + "." + item.key());
      built.parameters.push_back(item.value());
    }
    for (const auto& buffer : built.module->buffers()) {
      if (buffer.defined() && known.insert(buffer.unsafeGetTensorImpl()).second) built.buffers.push_back(buffer);
    }
    return built;
  }

  const std::string& name() const { return name_; }

 private:
  uint64_t philox_seed(uint64_t seed) const {
    const uint64_t stream = stream_of(name_);
    const auto words = philox4x32_10({static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32), 0, 0},
                                     {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
    return uint64_t{words[0]} << 32 | words[1];
  }

  std::string name_;
  ModuleFactory factory_;
};

// Parameter `index` of the module that the builder makes. The module is kept from one parameter of the group to the next.
class ModuleValues final : public InitialValues {
 public:
  ModuleValues(std::shared_ptr<const Builder> builder, size_t index) : builder_(std::move(builder)), index_(index) {}

  void fill(uint64_t seed, int64_t first, int64_t count, float* out, std::shared_ptr<Kept>& kept) const override {
    auto module = std::dynamic_pointer_cast<KeptModule>(kept);
    if (!module || module->builder != builder_) {
      module.reset();
      kept.reset();  // before another is built
      module = std::make_shared<KeptModule>(builder_, builder_->build(seed));
      kept = module;
    }
    const auto* values = module->built.parameters.at(index_).const_data_ptr<float>() + first;
    std::copy(values, values + count, out);
  }

 private:
  struct KeptModule final : Kept {
    KeptModule(std::shared_ptr<const Builder> builder, Built built) : builder(std::move(builder)), built(std::move(built)) {}
    std::shared_ptr<const Builder> builder;
    Built built;
  };

  std::shared_ptr<const Builder> builder_;
  size_t index_;
};

// Takes the place of LibTorch's accumulation, which is in place on cpu only: the dry run counts the same.
class AddToGradient final : public torch::autograd::Node {
 public:
  explicit AddToGradient(at::Tensor sum) : sum_(std::move(sum)) { add_input_metadata(sum_); }

  torch::autograd::variable_list apply(torch::autograd::variable_list&& gradients) override {
    const at::NoGradGuard no_grad;
    if (gradients[0].defined()) sum_.add_(gradients[0]);
    return {};
  }

 private:
  at::Tensor sum_;
};

void check_parameter(const std::string& name, const at::Tensor& parameter) {
  if (parameter.scalar_type() != at::kFloat || !parameter.is_contiguous() || !parameter.device().is_cpu()) {
    fail(ErrorKind::configuration, "parameter {} is {} on {}{}, expected contiguous float on cpu", name, c10::toString(parameter.scalar_type()),
         parameter.device().str(), parameter.is_contiguous() ? "" : ", not contiguous");
  }
  if (!parameter.requires_grad()) {
    fail(ErrorKind::configuration, "parameter {} does not require grad, but every parameter is trained; register it as a buffer", name);
  }
}

std::vector<Parameter> declare(const std::shared_ptr<const Builder>& builder) {
  MemoryLedger ledger;  // before any run: nobody's
  const MemoryScope scope(ledger, Category::host);
  const Built built = builder->build(0);
  if (built.parameters.empty()) {
    fail(ErrorKind::configuration, "the module of unit {} has no parameters; call it in the forward of a unit of your own", builder->name());
  }
  std::vector<Parameter> declared;
  for (size_t i = 0; i < built.parameters.size(); ++i) {
    check_parameter(built.names[i], built.parameters[i]);
    declared.push_back({built.names[i], built.parameters[i].sizes().vec(), Init::custom(std::make_shared<ModuleValues>(builder, i))});
  }
  return declared;
}

// `to` becomes another name of `from`'s memory; its autograd history and version stay its own.
void alias(const at::Tensor& to, const at::Tensor& from) { to.unsafeGetTensorImpl()->shallow_copy_from(from.getIntrusivePtr()); }

// A module without weights of its own, for one rank's weights. Its parameters stay theirs from forward to backward.
class Instance {
 public:
  Instance(const Builder& builder, Weights weights) : owner_(weights[0].getIntrusivePtr()) {
    {
      const MemoryScope scope(Category::host);
      built_ = builder.build(0);
      bind_parameters(weights);
      move_buffers(weights[0].device());
    }
    for (const auto& buffer : built_.buffers) digests_.push_back(digest(buffer));
  }

  bool is_of(Weights weights) const { return owner_._unsafe_get_target() == weights[0].unsafeGetTensorImpl(); }
  bool expired() const { return owner_.expired(); }

  Carry forward(const ModuleForward& forward, const StepContext& context, Weights weights, Carry carry) {
    bind_parameters(weights);
    built_.module->train(context.mode == Mode::train);
    const auto versions = all_versions();
    Carry outputs = forward(*built_.module, context, std::move(carry));
    check_unchanged(versions);
    return outputs;
  }

 private:
  void bind_parameters(Weights weights) {
    for (size_t i = 0; i < weights.size(); ++i) {
      auto& parameter = built_.parameters[i];
      alias(parameter, weights[i]);
      if (!at::GradMode::is_enabled()) continue;
      ZR_CHECK(weights[i].grad().defined(), "{} has no .grad that its module could add to", built_.names[i]);
      torch::autograd::impl::set_gradient_edge(parameter, {std::make_shared<AddToGradient>(weights[i].grad()), 0});
    }
  }

  void move_buffers(at::Device device) {
    const MemoryScope scope(Category::parameters);
    const at::NoGradGuard no_grad;
    for (const auto& buffer : built_.buffers) {
      const auto copy = at::empty(buffer.sizes(), buffer.options().device(device));
      if (!copy.is_meta()) copy.copy_(buffer);
      alias(buffer, copy);
    }
  }

  std::vector<uint32_t> all_versions() const {
    std::vector<uint32_t> versions;
    for (const auto* tensors : {&built_.parameters, &built_.buffers}) {
      for (const auto& tensor : *tensors) versions.push_back(tensor._version());
    }
    return versions;
  }

  // The version tells of most changes, but batch norm writes its statistics behind it: the bytes tell.
  void check_unchanged(const std::vector<uint32_t>& versions) const {
    bool same = versions == all_versions();
    for (size_t i = 0; same && i < built_.buffers.size(); ++i) same = digest(built_.buffers[i]) == digests_[i];
    if (same) return;
    fail(ErrorKind::configuration,
         "the forward of {} changes a buffer or a parameter of its module; ranks would part from each other: keep what changes in the carry, "
         "or switch its statistics off",
         built_.names[0]);
  }

  static uint64_t digest(const at::Tensor& buffer) {
    constexpr uint64_t kPrime = 0x100000001b3;
    uint64_t digest = 0;
    if (buffer.is_meta()) return digest;
    const MemoryScope host(Category::host);
    const auto here = buffer.to(at::kCPU);  // of a GPU's a copy, which waits: a module without buffers is faster there
    const auto* bytes = static_cast<const char*>(here.const_data_ptr());
    for (size_t i = 0; i < buffer.nbytes(); i += sizeof(uint64_t)) {
      uint64_t word = 0;
      std::memcpy(&word, bytes + i, std::min(sizeof word, buffer.nbytes() - i));
      digest = (digest ^ word) * kPrime;
    }
    return digest;
  }

  c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl> owner_;  // the first of the weights
  Built built_;
  std::vector<uint64_t> digests_;  // of the buffers
};

class ModuleUnit final : public Unit {
 public:
  ModuleUnit(std::shared_ptr<const Builder> builder, ModuleForward forward)
      : Unit(builder->name(), declare(builder)), builder_(std::move(builder)), forward_(std::move(forward)) {}

  Carry forward(const StepContext& context, Weights weights, Carry carry) const override {
    return instance_of(weights).forward(forward_, context, weights, std::move(carry));
  }

 private:
  // The weights of a rank are the same tensors for the whole run; those of runs that are over make room.
  Instance& instance_of(Weights weights) const {
    const std::lock_guard lock(mutex_);
    instances_.remove_if([](const Instance& instance) { return instance.expired(); });
    for (auto& instance : instances_) {
      if (instance.is_of(weights)) return instance;
    }
    return instances_.emplace_back(*builder_, weights);
  }

  std::shared_ptr<const Builder> builder_;
  ModuleForward forward_;
  mutable std::mutex mutex_;
  mutable std::list<Instance> instances_;  // one for each rank of this process
};

}  // namespace

std::shared_ptr<const Unit> make_module_unit(std::string name, ModuleFactory factory, ModuleForward forward) {
  return std::make_shared<ModuleUnit>(std::make_shared<const Builder>(std::move(name), std::move(factory)), std::move(forward));
}

}  // namespace zerorun
