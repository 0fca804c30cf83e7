// What the families share: the chain of embedding, blocks and head, and the check of their sizes.
#pragma once
#include <memory>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/model.h"

namespace zerorun {

// Throws Error(configuration) that names model.<field>.
inline void require_positive(const char* field, int64_t value) {
  if (value <= 0) fail(ErrorKind::configuration, "model.{} is {}, expected a positive number", field, value);
}

// The sizes that every family has.
template <typename Config>
void require_positive_sizes(const Config& config) {
  require_positive("vocab_size", config.vocab_size);
  require_positive("hidden_size", config.hidden_size);
  require_positive("num_hidden_layers", config.num_hidden_layers);
  require_positive("num_attention_heads", config.num_attention_heads);
  require_positive("max_position_embeddings", config.max_position_embeddings);
}

// Embedding(config), Block(config, layer) for each layer, Head(config).
template <typename Embedding, typename Block, typename Head, typename Config>
Model chain_of(const Config& config) {
  std::vector<std::shared_ptr<const Unit>> units{std::make_shared<Embedding>(config)};
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) units.push_back(std::make_shared<Block>(config, layer));
  units.push_back(std::make_shared<Head>(config));
  return Model(std::move(units));
}

}  // namespace zerorun
