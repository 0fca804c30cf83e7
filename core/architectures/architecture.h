// What a model consists of, whether zerorun can train it or not: its parameters in units, and the sizes that formulas of memory ask for.
// Counts are sums over declared tensors, never a formula of their own.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace zerorun {

class Model;

// More than any model has. Keeps what is reckoned from a count, in bytes and over 65,536 ranks, below 2^63.
inline constexpr int64_t kMostParameters = 10'000'000'000'000;

// Equal blocks, one after the other, as formulas of activations and of the key-value cache see them.
struct BlockStack {
  int64_t layers = 0, hidden = 0;
  int64_t heads = 0, key_value_heads = 0, head_dim = 0;
  int64_t inner = 0;   // width of the feed-forward, of one expert's
  bool gated = false;  // gate, up and down (SwiGLU) instead of two matrices
  int64_t experts = 1, experts_of_token = 1;

  bool operator==(const BlockStack&) const = default;
};

// What sees pictures, in front of a language model.
struct VisionTower {
  BlockStack blocks;
  int64_t positions = 0;  // of a picture: its patches and one more
};

struct Architecture {
  std::string name;
  std::string family;       // as Hugging Face's model_type
  std::string not_trained;  // why zerorun cannot train it; empty where it can
  std::shared_ptr<const Model> model;  // where zerorun cannot train it, of units that are declared and do not compute

  BlockStack blocks;  // of the language model
  std::optional<VisionTower> vision;
  int64_t vocab_size = 0, positions = 0;  // positions: the most that a text has

  // Counted over the declarations, a tensor of two units once.
  int64_t parameters = 0;
  int64_t active_parameters = 0;  // that one token is computed with: all, but for experts that it does not go to
  int64_t block_parameters = 0;   // of all blocks
  int64_t largest_block = 0;
  std::string largest_module;     // that owns most: the module of a tensor is its name without the last part
  int64_t largest_module_parameters = 0;
};

// Fills the counts from `model`. Throws Error(configuration) where it has more than kMostParameters.
void count_parameters(Architecture& architecture);

}  // namespace zerorun
