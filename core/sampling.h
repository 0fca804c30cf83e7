// The next token, drawn from a model's logits. A draw is from a counter (core/random.h): it depends on the seed, the sample, the
// position and the logits, never on what was drawn before, nor on who draws.
#pragma once
#include <cstdint>
#include <span>

namespace zerorun {

struct Sampling {
  double temperature = 0;  // logits are divided by it; 0: greedy, whatever the others say
  int64_t top_k = 0;       // only the k likeliest tokens; 0: all
  double top_p = 1;        // of these only the likeliest whose probabilities first sum to p (nucleus sampling, Holtzman et al. 2020)
  uint64_t seed = 42;

  // Throws Error(usage) that names what is out of range: temperature from 0 to 1e4, top_k from 0, top_p above 0 and to 1.
  void validate() const;
};

// For the token at `position` of a sample's text. The likelier of equals is the one with the smaller id. Costs a pass over the
// logits, and with top_k or top_p a sort of their ids. Throws Error(non_finite) where a logit is no number or infinite.
int64_t draw_token(std::span<const float> logits, const Sampling& sampling, int64_t sample, int64_t position);

}  // namespace zerorun
