#include "zero/generation.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <chrono>

#include "core/error.h"
#include "core/kv_cache.h"

namespace zerorun {
namespace {

// What is generated, as rows that grow: [samples, capacity], of which `length` positions are there.
class Texts {
 public:
  Texts(const at::Tensor& prompt, int64_t room) : length_(prompt.size(1)) {
    tokens_ = at::empty({prompt.size(0), length_ + room}, prompt.options());
    tokens_.narrow(1, 0, length_).copy_(prompt);
  }

  int64_t samples() const { return tokens_.size(0); }
  int64_t length() const { return length_; }
  at::Tensor whole() const { return tokens_.narrow(1, 0, length_).contiguous(); }
  at::Tensor last() const { return tokens_.narrow(1, length_ - 1, 1).contiguous(); }

  void append(std::span<const int64_t> tokens) {
    for (int64_t s = 0; s < samples() && !tokens_.is_meta(); ++s) tokens_.data_ptr<int64_t>()[s * tokens_.size(1) + length_] = tokens[static_cast<size_t>(s)];
    ++length_;
  }

 private:
  at::Tensor tokens_;
  int64_t length_;
};

std::vector<int64_t> draw(const at::Tensor& logits, const Sampling& sampling, int64_t position, Communicator& communicator) {
  const int64_t samples = logits.size(0), vocabulary = logits.size(1);
  std::vector<int64_t> own, all(static_cast<size_t>(communicator.size() * samples));
  if (logits.is_meta()) own.resize(static_cast<size_t>(samples));  // of a dry run: any
  for (int64_t s = std::ssize(own); s < samples; ++s) {
    const std::span row(logits.const_data_ptr<float>() + s * vocabulary, static_cast<size_t>(vocabulary));
    own.push_back(draw_token(row, sampling, s, position));
  }
  communicator.exchange(own.data(), all.data(), samples * static_cast<int64_t>(sizeof(int64_t)));
  return {all.begin(), all.begin() + samples};
}

}  // namespace

GenerationTimes generate(const Model& model, Engine& engine, Communicator& communicator, MemoryLedger& ledger, const at::Tensor& prompt,
                         const GenerationOptions& options, const TokenVisitor& visit) {
  using Clock = std::chrono::steady_clock;
  options.sampling.validate();
  ZR_CHECK(prompt.dim() == 2 && prompt.size(1) > 0 && options.max_tokens > 0, "a prompt of no tokens, or {} tokens to generate", options.max_tokens);
  const MemoryScope scope(ledger, batch_category(ledger));
  Texts texts(prompt, options.max_tokens);
  KeyValueCache cache(model, texts.length() + options.max_tokens - 1);
  GenerationTimes times;
  for (int64_t i = 0; i < options.max_tokens; ++i) {
    const auto start = Clock::now();
    if (!options.cached) cache.clear();
    const auto logits = engine.infer(i == 0 || !options.cached ? texts.whole() : texts.last(), cache);
    const auto tokens = draw(logits, options.sampling, texts.length(), communicator);
    texts.append(tokens);
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    if (i == 0) {
      times.prefill_seconds = seconds;
    } else {
      times.decode_seconds.push_back(seconds);
    }
    visit(tokens);
  }
  times.cache_bytes = cache.bytes();
  return times;
}

}  // namespace zerorun
