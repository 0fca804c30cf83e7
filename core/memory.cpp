#include "core/memory.h"

#include "core/account.h"

namespace zerorun {
namespace {

struct CategoryTraits {
  const char* name;
  bool on_device;
};

constexpr CategoryTraits kCategories[kCategoryCount] = {
    {"parameters", true},  {"gradients", true}, {"optimizer", true}, {"gathered", true}, {"communication", true},
    {"activations", true}, {"workspace", true}, {"unscoped", true},  {"host", false},    {"disk", false},
};

thread_local detail::ScopeSlot current{nullptr};
thread_local const detail::ScopeSlot* followed = nullptr;

detail::Level process_shared;

detail::Account& unscoped_account() {
  static auto* account = new detail::Account(Side::host);  // outlives every block
  return *account;
}

}  // namespace

const char* name_of(Category category) { return kCategories[static_cast<int>(category)].name; }
bool on_device(Category category) { return kCategories[static_cast<int>(category)].on_device; }

MemoryUsage unscoped_usage() { return unscoped_account().usage(); }

namespace detail {

void Account::charge(Category category, int64_t bytes, Where where) {
  categories_[static_cast<int>(category)].add(bytes);
  if (on_device(category)) {
    total_.add(bytes);
    if (where == Where::elsewhere) elsewhere_.add(bytes);
  }
  if (listener_) listener_->changed(category, bytes);
}

MemoryUsage Account::usage() const {
  MemoryUsage usage;
  for (int i = 0; i < kCategoryCount; ++i) {
    usage.now[i] = categories_[i].now();
    usage.peak[i] = categories_[i].peak();
  }
  usage.total_now = total_.now();
  usage.total_peak = total_.peak();
  usage.arena_overhead = (device_ == Side::gpu ? gpu_arena_ : host_arena_).peak() + elsewhere_.peak() - total_.peak();
  usage.gpu_reserved = gpu_pages(gpu_arena_.peak()) + own_pages_.peak();
  return usage;
}

void Account::reset_peaks() {
  for (auto& level : categories_) level.reset_peak();
  total_.reset_peak();
  elsewhere_.reset_peak();
}

// With a GPU, what lies in host memory is no part of the device.
std::optional<Charge> Charge::of_scope(size_t requested, Side side, Arena::Memory memory) {
  const auto rules = rules_of(side);
  if (requested > static_cast<size_t>(PTRDIFF_MAX - rules.header - rules.alignment)) return std::nullopt;
  const auto scope = current_scope();
  const bool beside = side == Side::host && scope.account->device() == Side::gpu && on_device(scope.category);
  Charge charge{scope.account, beside ? Category::host : scope.category, side, static_cast<int64_t>(requested), kElsewhere};
  if (charge.bytes < rules.least) return charge;
  const auto offset = scope.account->arena(side).take(rules.block_bytes(charge.bytes), memory);
  if (!offset) return std::nullopt;
  charge.offset = *offset;
  return charge;
}

void Charge::enter() const {
  account->retain();
  account->charge(category, bytes, in_arena() ? Account::Where::arena : Account::Where::elsewhere);
}

void Charge::leave() const {
  account->charge(category, -bytes, in_arena() ? Account::Where::arena : Account::Where::elsewhere);
  if (in_arena()) account->arena(side).free(offset, rules_of(side).block_bytes(bytes));
  account->release();
}

MemoryScope::State current_scope() {
  const auto* state = current.load(std::memory_order_relaxed);
  if (!state && followed) state = followed->load(std::memory_order_relaxed);
  return state ? *state : MemoryScope::State{&unscoped_account(), Category::unscoped};
}

const ScopeSlot* scope_slot() { return &current; }
void follow_scopes_of(const ScopeSlot* slot) { followed = slot == &current ? nullptr : slot; }

}  // namespace detail

MemoryLedger::MemoryLedger(Side device) : account_(new detail::Account(device)) {}
MemoryLedger::~MemoryLedger() { account_->release(); }
Side MemoryLedger::device() const { return account_->device(); }
void MemoryLedger::charge(Category category, int64_t bytes) { account_->charge(category, bytes); }
MemoryUsage MemoryLedger::usage() const { return account_->usage(); }
void MemoryLedger::reset_peaks() { account_->reset_peaks(); }
void MemoryLedger::set_listener(MemoryListener* listener) { account_->set_listener(listener); }

Side device_of_scope() { return detail::current_scope().account->device(); }

MemoryScope::MemoryScope(MemoryLedger& ledger, Category category) : state_{ledger.account_, category}, enclosing_(current) {
  current = &state_;
}

MemoryScope::MemoryScope(Category category) : state_(detail::current_scope()), enclosing_(current) {
  if (state_.category == Category::unscoped) return;
  state_.category = category;
  current = &state_;
}

int64_t shared_bytes() { return process_shared.now(); }

ScopeCharge::ScopeCharge(int64_t bytes, Memory memory) : scope_(detail::current_scope()), bytes_(bytes), memory_(memory) {
  scope_.account->retain();
  scope_.account->charge(scope_.category, bytes_);
  if (memory_ == Memory::shared) process_shared.add(bytes_);
}

ScopeCharge::~ScopeCharge() {
  if (memory_ == Memory::shared) process_shared.add(-bytes_);
  scope_.account->charge(scope_.category, -bytes_);
  scope_.account->release();
}

PagesCharge::PagesCharge(int64_t bytes) : account_(detail::current_scope().account), bytes_(bytes) {
  account_->retain();
  account_->add_own_pages(bytes_);
}

PagesCharge::~PagesCharge() {
  account_->add_own_pages(-bytes_);
  account_->release();
}

MemoryScope::~MemoryScope() { current = enclosing_; }

}  // namespace zerorun
