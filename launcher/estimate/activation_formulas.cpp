#include "launcher/estimate/activation_formulas.h"

#include <fmt/format.h>

#include "launcher/estimate/checked_product.h"

namespace zerorun {
namespace {

int64_t linear_bytes(int64_t element) { return 16 * element + 2; }    // 34 in 16 bits
int64_t quadratic_bytes(int64_t element) { return 2 * element + 1; }  // 5 in 16 bits

// One block with SwiGLU: `width` of tokens that are kept, in elements.
int64_t gated_layer(const BlockStack& blocks, const ActivationSizes& sizes, int64_t streams, int64_t inners) {
  const int64_t heads = 2 * (blocks.heads + blocks.key_value_heads) * blocks.head_dim;
  const int64_t kept = streams * blocks.hidden + heads + inners * blocks.experts_of_token * blocks.inner;
  return checked_product({sizes.seq_len, sizes.samples, sizes.element_bytes * kept + 4 * blocks.heads});
}

void add_gated(const BlockStack& blocks, const ActivationSizes& sizes, std::vector<ActivationRow>& rows) {
  const auto all = [&](int64_t layer) { return checked_product({blocks.layers, layer}); };
  const int64_t element = sizes.element_bytes, whole = gated_layer(blocks, sizes, 4, 3), boundary = checked_product({element, sizes.seq_len, sizes.samples, blocks.hidden});
  const std::string inner = blocks.experts_of_token > 1 ? "ki" : "i";
  rows.push_back({"swiglu", "SwiGLU, grouped keys, flash", fmt::format("Lsb({}(4h+2ad+2nd+3{})+4a)", element, inner), all(whole)});
  rows.push_back({"swiglu_norms_recomputed", "  norms, product recomputed", fmt::format("Lsb({}(2h+2ad+2nd+2{})+4a)", element, inner), all(gated_layer(blocks, sizes, 2, 2))});
  rows.push_back({"swiglu_full_recompute", "  all recomputed", fmt::format("{}Lsbh + one layer", element), all(boundary) + whole});
}

}  // namespace

int64_t linear_part(const BlockStack& blocks, const ActivationSizes& sizes) {
  return checked_product({linear_bytes(sizes.element_bytes), sizes.seq_len, sizes.samples, blocks.hidden});
}

int64_t quadratic_part(const BlockStack& blocks, const ActivationSizes& sizes) {
  return checked_product({quadratic_bytes(sizes.element_bytes), blocks.heads, sizes.seq_len, sizes.seq_len, sizes.samples});
}

std::vector<ActivationRow> activation_formulas(const Architecture& model, const ActivationSizes& sizes) {
  const BlockStack& blocks = model.blocks;
  const int64_t element = sizes.element_bytes, linear = linear_part(blocks, sizes), quadratic = quadratic_part(blocks, sizes);
  const auto all = [&](int64_t layer) { return checked_product({blocks.layers, layer}); };
  const std::string linear_text = fmt::format("{}sbh", linear_bytes(element)), layer_text = fmt::format("{}+{}as^2b", linear_text, quadratic_bytes(element));
  std::vector<ActivationRow> rows{
      {"gpt", "GELU over 4h, dropout", fmt::format("L({})", layer_text), all(linear + quadratic)},
      {"gpt_flash_attention", "  flash or recomputed attention", fmt::format("{}L", linear_text), all(linear)},
      {"gpt_full_recompute", "  all recomputed", fmt::format("{}Lsbh + one layer", element),
       all(checked_product({element, sizes.seq_len, sizes.samples, blocks.hidden})) + linear + quadratic}};
  if (blocks.gated) add_gated(blocks, sizes, rows);
  if (model.vision) {
    const ActivationSizes picture{model.vision->positions, sizes.samples, element};
    const auto& tower = model.vision->blocks;
    rows.push_back({"vision", fmt::format("beside: a picture, s = {}", model.vision->positions), fmt::format("L({})", layer_text),
                    checked_product({tower.layers, linear_part(tower, picture) + quadratic_part(tower, picture)})});
  }
  return rows;
}

}  // namespace zerorun
