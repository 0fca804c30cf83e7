#include "core/architectures/internvl.h"

#include <fmt/format.h>

#include "core/architectures/declaration.h"

namespace zerorun {
namespace {

void declare_vision_block(const InternVitConfig& config, int64_t layer, Declaration& declaration) {
  const int64_t width = config.hidden_size;
  const std::string block = fmt::format("encoder.layers.{}.", layer);
  declaration.unit(fmt::format("blocks.{}", layer));
  for (const char* name : {"ls1", "ls2"}) declaration.add(block + name, {width});
  declaration.add_linear(block + "attn.qkv", 3 * width, width, config.qkv_bias);
  if (config.normed_queries) {
    for (const char* name : {"attn.q_norm", "attn.k_norm"}) declaration.add_norm(block + name, width, false);
  }
  declaration.add_linear(block + "attn.proj", width, width, true);
  declaration.add_linear(block + "mlp.fc1", config.inner, width, true);
  declaration.add_linear(block + "mlp.fc2", width, config.inner, true);
  for (const char* name : {"norm1", "norm2"}) declaration.add_norm(block + name, width, config.layer_norms);
}

void declare_vision(const InternVitConfig& config, Declaration& declaration) {
  const int64_t width = config.hidden_size;
  declaration.unit("embedding");
  declaration.add("embeddings.class_embedding", {1, 1, width});
  declaration.add("embeddings.position_embedding", {1, config.positions(), width});
  declaration.add("embeddings.patch_embedding.weight", {width, config.channels, config.patch_size, config.patch_size});
  declaration.add("embeddings.patch_embedding.bias", {width});
  for (int64_t layer = 0; layer < config.layers; ++layer) declare_vision_block(config, layer, declaration);
}

void declare_projector(int64_t in, int64_t out, Declaration& declaration) {
  declaration.unit("projector");
  declaration.add_norm("0", in, true);
  declaration.add_linear("1", out, in, true);
  declaration.add_linear("3", out, out, true);
}

}  // namespace

Architecture make_internvl(const InternVlConfig& config, std::string name) {
  const auto& [vision, language, patches_of_token] = config;
  Declaration declaration;
  declaration.prefix = "vision_model.";
  declaration.unit_prefix = "vision.";
  declare_vision(vision, declaration);
  declaration.prefix = "mlp1.";
  declaration.unit_prefix = "";
  declare_projector(vision.hidden_size * patches_of_token, language.hidden_size, declaration);
  declaration.prefix = "language_model.";
  declare_decoder(language, declaration);

  Architecture architecture;
  architecture.name = std::move(name);
  architecture.family = "internvl_chat";
  architecture.not_trained = "its family is internvl_chat";
  architecture.model = declaration.model();
  architecture.blocks = blocks_of(language);
  const BlockStack blocks{.layers = vision.layers, .hidden = vision.hidden_size, .heads = vision.heads, .key_value_heads = vision.heads,
                          .head_dim = vision.hidden_size / vision.heads, .inner = vision.inner};
  architecture.vision = VisionTower{blocks, vision.positions()};
  architecture.vocab_size = language.vocab_size;
  architecture.positions = language.positions;
  count_parameters(architecture);
  return architecture;
}

}  // namespace zerorun
