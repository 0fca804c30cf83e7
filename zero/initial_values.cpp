#include "zero/initial_values.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "core/random.h"
#include "zero/flat_span.h"

namespace zerorun {
namespace {

constexpr int64_t kElementsPerTask = 1 << 14;
constexpr int64_t kFillBlock = 4096;
constexpr int64_t kSourceBlock = 1 << 16;

// Elements [first, first + count) of a parameter, from the counters.
void fill(const Parameter& parameter, uint64_t seed, int64_t first, int64_t count, float* out) {
  switch (parameter.init.kind) {
    case Init::Kind::zeros: std::fill_n(out, count, 0.0f); break;
    case Init::Kind::ones: std::fill_n(out, count, 1.0f); break;
    case Init::Kind::normal:
      fill_normal(out, first, count, seed, stream_of(parameter.name), static_cast<float>(parameter.init.stddev));
      break;
    case Init::Kind::custom: break;
  }
}

}  // namespace

void fill_values(const ParameterGroup& group, const GroupLayout& layout, const ParameterSource* source, uint64_t seed, int64_t begin, Span to) {
  const int64_t end = begin + to.count;
  std::shared_ptr<InitialValues::Kept> kept;
  for (size_t p = 0; p < group.parameters.size(); ++p) {
    const auto& parameter = group.parameters[p];
    const int64_t offset = layout.offset(static_cast<int>(p));
    const int64_t first = std::max(begin, offset), last = std::max(first, std::min(end, offset + parameter.count()));
    const auto in_blocks = [&](int64_t from, int64_t until, int64_t size, float* block, const auto& values) {
      for (int64_t at = from; at < until; at += size) {
        const int64_t count = std::min(size, until - at);
        values(at - offset, count, block);
        write_block(block, to, at - begin, count);
      }
    };
    if (source || parameter.init.values) {
      std::vector<float> block(kSourceBlock);
      in_blocks(first, last, kSourceBlock, block.data(), [&](int64_t element, int64_t count, float* out) {
        if (source) return source->fill(parameter, element, count, out);
        parameter.init.values->fill(seed, element, count, out, kept);
      });
      continue;
    }
    at::parallel_for(first, last, kElementsPerTask, [&](int64_t task_begin, int64_t task_end) {
      float block[kFillBlock];
      in_blocks(task_begin, task_end, kFillBlock, block, [&](int64_t element, int64_t count, float* out) { fill(parameter, seed, element, count, out); });
    });
  }
}

}  // namespace zerorun
