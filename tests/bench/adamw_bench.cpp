// What updating 27 M parameters takes: zerorun's gradient norm and AdamW beside LibTorch's clip_grad_norm_ and fused AdamW, in one process, in turn.
//   adamw_bench [--threads N] [--rounds N]
// One JSON line per case with the best and median seconds of each pass. For tests/bench/adamw.py.
//
// Cases: the gradient in fp32; in bf16, which LibTorch's passes widen first; and that with the parameters rounded to bf16 afterwards. LibTorch has the
// parameters once as one flat tensor, as zerorun does, and once as the tensors of a GPT-2 (6 layers, width 512, vocabulary 8192).
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/ops/_fused_adamw.h>
#include <fmt/format.h>
#include <torch/nn/utils/clip_grad.h>
#include <xmmintrin.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/threads.h"
#include "zero/flat_span.h"
#include "zero/gradient_norm.h"
#include "zero/optimizer.h"

namespace zerorun {
namespace {

constexpr double kLr = 1e-4, kBeta1 = 0.9, kBeta2 = 0.95, kEps = 1e-8, kDecay = 0.1, kMaxNorm = 1;

std::vector<int64_t> gpt2_sizes() {
  constexpr int64_t kWidth = 512, kLayers = 6, kVocabulary = 8192, kPositions = 512;
  std::vector<int64_t> sizes = {kVocabulary * kWidth, kPositions * kWidth};
  for (int64_t layer = 0; layer < kLayers; ++layer) {
    for (const int64_t size : {kWidth, kWidth, 3 * kWidth * kWidth, 3 * kWidth, kWidth * kWidth, kWidth, kWidth, kWidth, 4 * kWidth * kWidth, 4 * kWidth,
                               4 * kWidth * kWidth, kWidth}) {
      sizes.push_back(size);
    }
  }
  sizes.insert(sizes.end(), {kWidth, kWidth, kVocabulary * kWidth});
  return sizes;
}

// Parameters, gradients and states of one side, with the same values on every side.
struct Values {
  at::Tensor parameter, gradient, first, second;

  explicit Values(int64_t count)
      : parameter(at::randn({count}) * 0.02), gradient(at::randn({count}) * 0.01), first(at::randn({count}) * 0.01),
        second(at::rand({count}) * 1e-4) {}
};

Span span_of(const at::Tensor& tensor) { return {tensor.data_ptr(), tensor.numel(), tensor.scalar_type()}; }

class Zerorun {
 public:
  // `gradient` and `rounded`: not defined where they are the fp32 ones.
  Zerorun(const Values& values, at::Tensor gradient, at::Tensor rounded) : values_(values), gradient_(std::move(gradient)), rounded_(std::move(rounded)) {}

  void clip_and_update() {
    const auto& gradient = gradient_.defined() ? gradient_ : values_.gradient;
    const double norm = std::sqrt(sum_of_squares(span_of(gradient)));
    update(clip_factor(norm, kMaxNorm));
  }

  void update(double scale) {
    FlatSlice slice;
    slice.parameter = values_.parameter.mutable_data_ptr<float>();
    slice.gradient = span_of(gradient_.defined() ? gradient_ : values_.gradient);
    if (rounded_.defined()) slice.rounded = span_of(rounded_);
    slice.state = {values_.first.mutable_data_ptr<float>(), values_.second.mutable_data_ptr<float>()};
    slice.count = slice.decay_count = values_.parameter.numel();
    optimizer_->update(slice, {.step = ++step_, .lr = kLr, .gradient_scale = scale});
  }

 private:
  Values values_;
  at::Tensor gradient_, rounded_;
  std::unique_ptr<Optimizer> optimizer_ = make_adamw({.beta1 = kBeta1, .beta2 = kBeta2, .eps = kEps, .weight_decay = kDecay});
  int64_t step_ = 1000;
};

class LibTorch {
 public:
  LibTorch(const Values& values, const std::vector<int64_t>& sizes, at::Tensor gradient, at::Tensor rounded)
      : values_(values), gradient_(std::move(gradient)), rounded_(std::move(rounded)) {
    parameters_ = values.parameter.split(sizes);
    gradients_ = values.gradient.split(sizes);
    first_ = values.first.split(sizes);
    second_ = values.second.split(sizes);
    for (size_t i = 0; i < sizes.size(); ++i) {
      parameters_[i] = parameters_[i].detach();
      parameters_[i].mutable_grad() = gradients_[i];
      steps_.push_back(at::full({}, 1000.0, at::kFloat));
    }
  }

  void clip_and_update() {
    if (gradient_.defined()) values_.gradient.copy_(gradient_);
    torch::nn::utils::clip_grad_norm_(parameters_, kMaxNorm);
    update();
    if (rounded_.defined()) rounded_.copy_(values_.parameter);
  }

  // The passes of DeepSpeed's optimizer in host memory, whose norm is known: widen, unscale and clip, Adam, narrow.
  void widen_clip_update_narrow() {
    values_.gradient.copy_(gradient_);
    values_.gradient.mul_(0.5);
    update();
    rounded_.copy_(values_.parameter);
  }

  void update() {
    for (auto& step : steps_) step += 1;
    at::_fused_adamw_(parameters_, gradients_, first_, second_, {}, steps_, kLr, kBeta1, kBeta2, kDecay, kEps, false, false);
  }

 private:
  Values values_;
  at::Tensor gradient_, rounded_;
  std::vector<at::Tensor> parameters_, gradients_, first_, second_, steps_;
};

// a = b + 3 c over arrays as long as the parameters, written past the caches: what the memory gives.
class Triad {
 public:
  explicit Triad(int64_t count) : a_(at::zeros({count})), b_(at::ones({count})), c_(at::ones({count})) {}
  void run() {
    auto* a = a_.mutable_data_ptr<float>();
    const auto *b = b_.const_data_ptr<float>(), *c = c_.const_data_ptr<float>();
    at::parallel_for(0, a_.numel() / 4, 1 << 13, [&](int64_t begin, int64_t end) {
      for (int64_t i = 4 * begin; i < 4 * end; i += 4) _mm_stream_ps(a + i, _mm_add_ps(_mm_loadu_ps(b + i), _mm_mul_ps(_mm_set1_ps(3), _mm_loadu_ps(c + i))));
    });
  }

 private:
  at::Tensor a_, b_, c_;
};

using Clock = std::chrono::steady_clock;

// Every pass in turn, `rounds` times; the first round is left out.
void measure(const std::string& name, int64_t count, const std::vector<std::pair<std::string, std::function<void()>>>& passes, int rounds) {
  std::map<std::string, std::vector<double>> seconds;
  for (int round = 0; round <= rounds; ++round) {
    for (const auto& [pass, run] : passes) {
      const auto start = Clock::now();
      run();
      if (round > 0) seconds[pass].push_back(std::chrono::duration<double>(Clock::now() - start).count());
    }
  }
  std::string line = fmt::format("{{\"case\": \"{}\", \"parameters\": {}, \"threads\": {}", name, count, compute_threads());
  for (auto& [pass, times] : seconds) {
    std::sort(times.begin(), times.end());
    line += fmt::format(", \"{}\": {{\"best\": {:.9f}, \"median\": {:.9f}}}", pass, times.front(), times[times.size() / 2]);
  }
  fmt::print("{}}}\n", line);
}

void bench(int rounds) {
  const auto sizes = gpt2_sizes();
  int64_t count = 0;
  for (const int64_t size : sizes) count += size;
  for (const std::string name : {"fp32", "bf16 gradient", "bf16 gradient and parameters"}) {
    const auto make = [&](auto&& build) {
      at::manual_seed(1);
      const Values values(count);
      const bool narrow = name != "fp32", rounds_too = name == "bf16 gradient and parameters";
      return build(values, narrow ? values.gradient.to(at::kBFloat16) : at::Tensor(), rounds_too ? values.parameter.to(at::kBFloat16) : at::Tensor());
    };
    auto ours = make([](const Values& v, const at::Tensor& g, const at::Tensor& r) { return Zerorun(v, g, r); });
    auto flat = make([&](const Values& v, const at::Tensor& g, const at::Tensor& r) { return LibTorch(v, {count}, g, r); });
    auto list = make([&](const Values& v, const at::Tensor& g, const at::Tensor& r) { return LibTorch(v, sizes, g, r); });
    auto triad = Triad(count);
    std::vector<std::pair<std::string, std::function<void()>>> passes =
        {{"zerorun", [&] { ours.clip_and_update(); }},
         {"libtorch_flat", [&] { flat.clip_and_update(); }},
         {"libtorch_list", [&] { list.clip_and_update(); }},
         {"zerorun_update", [&] { ours.update(0.5); }},
         {"libtorch_flat_update", [&] { flat.update(); }},
         {"libtorch_list_update", [&] { list.update(); }},
         {"triad", [&] { triad.run(); }}};
    if (name == "bf16 gradient and parameters") passes.emplace_back("deepspeed", [&] { flat.widen_clip_update_narrow(); });
    measure(name, count, passes, rounds);
  }
}

}  // namespace
}  // namespace zerorun

int main(int argc, char** argv) {
  int threads = 1, rounds = 9;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::string(argv[i]) == "--threads") threads = std::stoi(argv[i + 1]);
    if (std::string(argv[i]) == "--rounds") rounds = std::stoi(argv[i + 1]);
  }
  zerorun::set_compute_threads(threads);
  const at::NoGradGuard no_graph;
  zerorun::bench(rounds);
  return 0;
}
