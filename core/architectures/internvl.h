// InternVL (Chen et al. 2024): InternViT, a projector of its patches (mlp1), and a decoder. Names and layouts are those of InternVLChatModel.
#pragma once
#include <string>

#include "core/architectures/decoder.h"

namespace zerorun {

struct InternVitConfig {
  int64_t hidden_size = 1024, layers = 24, heads = 16, inner = 4096;
  int64_t image_size = 448, patch_size = 14, channels = 3;  // pixels
  bool qkv_bias = true;
  bool normed_queries = false;  // norms of queries and keys over the full width
  bool layer_norms = true;      // else RMS norms

  int64_t positions() const { return (image_size / patch_size) * (image_size / patch_size) + 1; }
};

struct InternVlConfig {
  InternVitConfig vision;
  DecoderConfig language;
  int64_t patches_of_token = 4;  // that the projector puts side by side: 1 / downsample_ratio, squared
};

// Units: the vision's embedding and blocks, the projector, then the decoder's.
Architecture make_internvl(const InternVlConfig& config, std::string name);

}  // namespace zerorun
