#include "core/weights/architecture_config.h"

#include <fmt/format.h>

#include "core/architectures/catalogue.h"
#include "core/model.h"
#include "core/weights/hf_config.h"
#include "tests/core/data_folder.h"

namespace zerorun {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kOpt = R"({"model_type":"opt","vocab_size":50272,"hidden_size":768,"num_hidden_layers":12,"num_attention_heads":12,"ffn_dim":3072,"max_position_embeddings":2048,"word_embed_proj_dim":768,"do_layer_norm_before":true})";
constexpr const char* kOpt350m = R"({"model_type":"opt","vocab_size":50272,"hidden_size":1024,"num_hidden_layers":24,"num_attention_heads":16,"ffn_dim":4096,"max_position_embeddings":2048,"word_embed_proj_dim":512,"do_layer_norm_before":false,"_remove_final_layer_norm":false})";
constexpr const char* kMixtral = R"({"model_type":"mixtral","vocab_size":32000,"hidden_size":6144,"num_hidden_layers":56,"num_attention_heads":48,"num_key_value_heads":8,"intermediate_size":16384,"max_position_embeddings":65536,"num_local_experts":8,"num_experts_per_tok":2,"sliding_window":null,"tie_word_embeddings":false})";
constexpr const char* kMistral = R"({"model_type":"mistral","vocab_size":32000,"hidden_size":4096,"num_hidden_layers":32,"num_attention_heads":32,"num_key_value_heads":8,"intermediate_size":14336,"max_position_embeddings":32768,"sliding_window":4096})";
constexpr const char* kPhi3 = R"({"model_type":"phi3","vocab_size":32064,"hidden_size":3072,"num_hidden_layers":32,"num_attention_heads":32,"num_key_value_heads":32,"intermediate_size":8192,"max_position_embeddings":4096})";
constexpr const char* kLlama3 = R"({"model_type":"llama","vocab_size":128256,"hidden_size":8192,"num_hidden_layers":80,"num_attention_heads":64,"num_key_value_heads":8,"intermediate_size":28672,"max_position_embeddings":8192,"rms_norm_eps":1e-5,"rope_theta":500000.0)";
constexpr const char* kVit300m = R"({"model_type":"intern_vit_6b","hidden_size":1024,"num_hidden_layers":24,"num_attention_heads":16,"intermediate_size":4096,"image_size":448,"patch_size":14,"qkv_bias":true,"qk_normalization":false,"norm_type":"layer_norm"})";
constexpr const char* kVit6b = R"({"model_type":"intern_vit_6b","hidden_size":3200,"num_hidden_layers":45,"num_attention_heads":25,"intermediate_size":12800,"image_size":448,"patch_size":14,"qkv_bias":false,"qk_normalization":true,"norm_type":"rms_norm"})";
constexpr const char* kQwen = R"({"model_type":"qwen2","vocab_size":151674,"hidden_size":2048,"num_hidden_layers":36,"num_attention_heads":16,"num_key_value_heads":2,"intermediate_size":11008,"max_position_embeddings":32768,"tie_word_embeddings":false})";
constexpr const char* kInternLm = R"({"model_type":"internlm2","bias":false,"vocab_size":92553,"hidden_size":6144,"num_hidden_layers":48,"num_attention_heads":48,"num_key_value_heads":8,"intermediate_size":16384,"max_position_embeddings":32768})";

std::string internvl(const char* vision, const char* language) {
  return fmt::format(R"({{"model_type":"internvl_chat","downsample_ratio":0.5,"vision_config":{},"llm_config":{}}})", vision, language);
}

class ArchitectureConfig : public DataFolder {
 protected:
  Architecture read(const std::string& text) const { return read_architecture(write("config.json", text)); }
  void refuses(ErrorKind kind, const std::string& text, const std::string& says) const {
    expect_error(kind, AllOf(StartsWith(path("config.json")), HasSubstr(says)), [&] { read(text); });
  }
  // `from` replaced by `to`.
  std::string changed(std::string text, const std::string& from, const std::string& to) const {
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  }
};

TEST_F(ArchitectureConfig, IsTheModelOfTheCatalogue) {
  const std::string llama3 = std::string(kLlama3) + "}";
  const std::pair<const char*, std::string> cases[] = {{"opt-125m", kOpt},
                                                       {"opt-350m", kOpt350m},
                                                       {"mixtral-8x22b", kMixtral},
                                                       {"llama-3-70b", llama3},
                                                       {"gpt2", R"({"model_type":"gpt2"})"},
                                                       {"internvl2_5-4b", internvl(kVit300m, kQwen)},
                                                       {"internvl2_5-26b", internvl(kVit6b, kInternLm)}};
  for (const auto& [name, text] : cases) {
    const auto expected = find_architecture(name).value(), found = read(text);
    EXPECT_EQ(found.family, expected.family) << name;
    EXPECT_EQ(found.blocks, expected.blocks) << name;
    EXPECT_EQ(found.positions, expected.positions) << name;
    EXPECT_EQ(found.not_trained.empty(), expected.not_trained.empty()) << name;
    ASSERT_EQ(found.model->unit_count(), expected.model->unit_count()) << name;
    for (int unit = 0; unit < found.model->unit_count(); ++unit) EXPECT_EQ(found.model->unit(unit).parameters(), expected.model->unit(unit).parameters()) << name;
  }
}

// Fused matrices have the elements of those they stand for. Published: Mistral 7B has 7,241,732,096.
TEST_F(ArchitectureConfig, OtherDecodersAreRead) {
  EXPECT_EQ(read(kPhi3).parameters, find_architecture("phi-3-mini-4k")->parameters);
  EXPECT_EQ(read(kPhi3).largest_module_parameters, 32064 * 3072);
  EXPECT_EQ(read(kMistral).parameters, 7'241'732'096);
  EXPECT_EQ(read(changed(kMistral, "4096,\"num_h", "4096,\"head_dim\":256,\"num_h")).blocks.head_dim, 256);
}

TEST_F(ArchitectureConfig, AFolderIsItsConfig) {
  write("config.json", kOpt);
  EXPECT_EQ(read_architecture(path("")).parameters, 125'239'296);
}

TEST_F(ArchitectureConfig, WhatTheTrainerLacksIsEstimatedAllTheSame) {
  const auto scaled = read(std::string(kLlama3) + R"(,"rope_scaling":{"rope_type":"llama3","factor":8.0}})");
  EXPECT_EQ(scaled.parameters, 70'553'706'496);
  EXPECT_THAT(scaled.not_trained, HasSubstr("rope_scaling"));
  const auto biased = read(std::string(kLlama3) + R"(,"attention_bias":true})");
  EXPECT_EQ(biased.parameters, 70'553'706'496 + 80 * (2 * 8192 + 2 * 1024));
}

TEST_F(ArchitectureConfig, EveryMissingSizeIsNamed) {
  for (const std::string key : {"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "intermediate_size", "max_position_embeddings",
                                "num_local_experts", "num_experts_per_tok"}) {
    refuses(ErrorKind::bad_data, changed(kMixtral, "\"" + key + "\"", "\"x\""), key + " is missing");
  }
  refuses(ErrorKind::bad_data, changed(kOpt, "ffn_dim", "x"), "ffn_dim is missing");
  refuses(ErrorKind::bad_data, R"({"model_type":"internvl_chat"})", "vision_config is missing");
  refuses(ErrorKind::bad_data, internvl("{}", kQwen), "vision_config: hidden_size is missing");
  refuses(ErrorKind::bad_data, internvl(kVit300m, "{}"), "llm_config has no model_type");
  refuses(ErrorKind::bad_data, "{}", "has no model_type, expected gpt2, llama, opt");
}

TEST_F(ArchitectureConfig, AbsurdAndContradictorySizesAreRefused) {
  for (const char* value : {"-1", "0", "9223372036854775808", "1e3", "\"768\"", "[]", "1048577"}) {
    refuses(ErrorKind::bad_data, changed(kOpt, "\"hidden_size\":768", std::string("\"hidden_size\":") + value), "hidden_size is ");
  }
  refuses(ErrorKind::bad_data, changed(kOpt, "\"num_attention_heads\":12", "\"num_attention_heads\":7"), "hidden_size is 768, expected a multiple of num_attention_heads, which is 7");
  refuses(ErrorKind::bad_data, changed(kMistral, "\"num_key_value_heads\":8", "\"num_key_value_heads\":5"), "num_attention_heads is 32, expected a multiple of num_key_value_heads");
  refuses(ErrorKind::bad_data, changed(kMixtral, "\"num_experts_per_tok\":2", "\"num_experts_per_tok\":9"), "num_experts_per_tok is 9");
  refuses(ErrorKind::bad_data, changed(changed(kMixtral, "\"num_local_experts\":8", "\"num_local_experts\":1024"), "\"num_hidden_layers\":56", "\"num_hidden_layers\":10000"),
          "num_local_experts is 1024 in each of 10000 layers");
  refuses(ErrorKind::bad_data, internvl(changed(kVit300m, "448", "13").c_str(), kQwen), "patch_size is 14");
  refuses(ErrorKind::bad_data, changed(internvl(kVit300m, kQwen), "0.5", "0.3"), "downsample_ratio is 0.3");
  refuses(ErrorKind::bad_data, changed(kOpt, "{", "[") , "not valid JSON");
}

TEST_F(ArchitectureConfig, MoreParametersThanAnyModelHasAreRefused) {
  const std::string wide = changed(changed(kMistral, "\"hidden_size\":4096", "\"hidden_size\":1048576"), "\"intermediate_size\":14336", "\"intermediate_size\":1048576");
  expect_error(ErrorKind::configuration, HasSubstr("has more than 10000000000000 parameters"), [&] { read(wide); });
  const std::string wider = changed(changed(wide, "\"num_attention_heads\":32", "\"num_attention_heads\":4096"), "\"num_h", "\"head_dim\":1048576,\"num_h");
  expect_error(ErrorKind::configuration, HasSubstr("model.layers.0.self_attn.q_proj.weight would have the shape [4294967296, 1048576]"), [&] { read(wider); });
}

TEST_F(ArchitectureConfig, UnknownKindsAreNamed) {
  refuses(ErrorKind::configuration, R"({"model_type":"mamba"})", "model_type is mamba, which zerorun cannot estimate");
  refuses(ErrorKind::configuration, internvl(kVit300m, R"({"model_type":"opt"})"), "llm_config: model_type is opt");
  refuses(ErrorKind::configuration, internvl(changed(kVit300m, "layer_norm", "group_norm").c_str(), kQwen), "norm_type is group_norm");
  refuses(ErrorKind::configuration, changed(kOpt, "{", R"({"quantization_config":{},)"), "quantization_config");
  expect_error(ErrorKind::missing_input, HasSubstr("nowhere"), [&] { read_architecture(path("nowhere")); });
}

TEST_F(ArchitectureConfig, TheTrainerSaysWhatCanOnlyBeEstimated) {
  write("config.json", kOpt);
  expect_error(ErrorKind::configuration, AllOf(HasSubstr("zerorun can estimate such a model"), HasSubstr("opt")), [&] { read_hf_config(path("")); });
}

}  // namespace
}  // namespace zerorun
