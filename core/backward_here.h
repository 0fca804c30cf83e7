// Autograd runs a GPU's backward on a thread of its own, which knows neither the memory scopes nor what else the calling thread has set; here it does not.
#pragma once
#include <c10/core/AutogradState.h>

namespace zerorun {

// While it lives, backward runs on the thread that asks for it.
class BackwardHere {
 public:
  BackwardHere() : before_(state().get_multithreading_enabled()) { state().set_multithreading_enabled(false); }
  ~BackwardHere() { state().set_multithreading_enabled(before_); }
  BackwardHere(const BackwardHere&) = delete;
  BackwardHere& operator=(const BackwardHere&) = delete;

 private:
  static c10::AutogradState& state() { return c10::AutogradState::get_tls_state(); }
  const bool before_;
};

}  // namespace zerorun
