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
  static auto* account = new detail::Account;  // outlives every block
  return *account;
}

}  // namespace

const char* name_of(Category category) { return kCategories[static_cast<int>(category)].name; }
bool on_device(Category category) { return kCategories[static_cast<int>(category)].on_device; }

MemoryUsage unscoped_usage() { return unscoped_account().usage(); }

namespace detail {

void Account::charge(Category category, int64_t bytes, Where where) {
  categories_[static_cast<int>(category)].add(bytes);
  if (!on_device(category)) return;
  total_.add(bytes);
  if (where == Where::elsewhere) elsewhere_.add(bytes);
}

MemoryUsage Account::usage() const {
  MemoryUsage usage;
  for (int i = 0; i < kCategoryCount; ++i) {
    usage.now[i] = categories_[i].now();
    usage.peak[i] = categories_[i].peak();
  }
  usage.total_now = total_.now();
  usage.total_peak = total_.peak();
  usage.arena_overhead = arena_.peak() + elsewhere_.peak() - total_.peak();
  return usage;
}

void Account::reset_peaks() {
  for (auto& level : categories_) level.reset_peak();
  total_.reset_peak();
  elsewhere_.reset_peak();
}

MemoryScope::State current_scope() {
  const auto* state = current.load(std::memory_order_relaxed);
  if (!state && followed) state = followed->load(std::memory_order_relaxed);
  return state ? *state : MemoryScope::State{&unscoped_account(), Category::unscoped};
}

const ScopeSlot* scope_slot() { return &current; }
void follow_scopes_of(const ScopeSlot* slot) { followed = slot == &current ? nullptr : slot; }

}  // namespace detail

MemoryLedger::MemoryLedger() : account_(new detail::Account) {}
MemoryLedger::~MemoryLedger() { account_->release(); }
void MemoryLedger::charge(Category category, int64_t bytes) { account_->charge(category, bytes); }
MemoryUsage MemoryLedger::usage() const { return account_->usage(); }
void MemoryLedger::reset_peaks() { account_->reset_peaks(); }

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

MemoryScope::~MemoryScope() { current = enclosing_; }

}  // namespace zerorun
