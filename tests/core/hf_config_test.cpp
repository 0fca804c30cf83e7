#include "core/weights/hf_config.h"

#include <nlohmann/json.hpp>

#include "tests/core/data_folder.h"
#include "tests/data_path.h"

namespace zerorun {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;
using Json = nlohmann::json;

std::string model(const std::string& name) { return data_path("core/data/hf/" + name); }

class HfConfigTest : public DataFolder {
 protected:
  HfConfig read(const std::string& text) const {
    write("config.json", text);
    return read_hf_config(path(""));
  }
  Gpt2Config gpt2(const std::string& more) const { return std::get<Gpt2Config>(read(R"({"model_type":"gpt2")" + more + "}").model); }
  LlamaConfig llama(const std::string& more) const { return std::get<LlamaConfig>(read(R"({"model_type":"llama")" + more + "}").model); }

  void refuses(ErrorKind kind, const std::string& text, const std::string& says) const {
    expect_error(kind, AllOf(StartsWith(path("") + "/config.json"), HasSubstr(says)), [&] { read(text); });
  }
  void refuses_gpt2(ErrorKind kind, const std::string& more, const std::string& says) const { refuses(kind, R"({"model_type":"gpt2",)" + more + "}", says); }
  void refuses_llama(ErrorKind kind, const std::string& more, const std::string& says) const { refuses(kind, R"({"model_type":"llama",)" + more + "}", says); }
};

TEST_F(HfConfigTest, ReadsRealFolders) {
  const auto gpt2 = std::get<Gpt2Config>(read_hf_config(model("gpt2-tiny/hf")).model);
  EXPECT_EQ(make_gpt2(gpt2).parameter_count(), 170'624);
  EXPECT_EQ(gpt2.dropout, 0);
  EXPECT_EQ(gpt2.max_position_embeddings, 64);
  const auto llama = std::get<LlamaConfig>(read_hf_config(model("llama-tiny/hf")).model);
  EXPECT_EQ(make_llama(llama).parameter_count(), 162'368);
  const auto wide = std::get<LlamaConfig>(read_hf_config(model("llama-wide-head/hf")).model);
  EXPECT_EQ(make_llama(wide).parameter_count(), 106'880);
  EXPECT_EQ(wide.head_dim, 32);
  EXPECT_EQ(wide.rope_theta, 5e4);
  EXPECT_EQ(wide.rms_norm_eps, 1e-5);
  EXPECT_TRUE(wide.tie_word_embeddings);
}

TEST_F(HfConfigTest, AbsentKeysHaveHuggingFacesDefaults) {
  const auto gpt2 = this->gpt2("");
  EXPECT_EQ(make_gpt2(gpt2).parameter_count(), 124'439'808);
  EXPECT_EQ(gpt2.max_position_embeddings, 1024);
  EXPECT_EQ(gpt2.dropout, 0.1);
  EXPECT_TRUE(gpt2.tie_word_embeddings);
  const auto llama = this->llama("");
  EXPECT_EQ(make_llama(llama).parameter_count(), 6'738'415'616);
  EXPECT_EQ(llama.rope_theta, 10'000);
  EXPECT_EQ(llama.rms_norm_eps, 1e-6);
  EXPECT_FALSE(llama.tie_word_embeddings);
}

TEST_F(HfConfigTest, NullMeansAbsent) {
  const auto config = llama(R"(,"num_attention_heads":8,"hidden_size":64,"head_dim":null,"num_key_value_heads":null,"rope_scaling":null,"sliding_window":null)");
  EXPECT_EQ(config.key_value_heads(), 8);
  EXPECT_EQ(config.width_of_head(), 8);
  EXPECT_EQ(gpt2(R"(,"n_inner":null)").inner_size(), 4 * 768);
}

TEST_F(HfConfigTest, RopeThetaIsNestedAtTheTopOrBoth) {
  EXPECT_EQ(llama(R"(,"rope_theta":5e5)").rope_theta, 5e5);
  EXPECT_EQ(llama(R"(,"rope_theta":500000)").rope_theta, 5e5);
  EXPECT_EQ(llama(R"(,"rope_parameters":{"rope_theta":5e5,"rope_type":"default"})").rope_theta, 5e5);
  EXPECT_EQ(llama(R"(,"rope_theta":5e5,"rope_parameters":{"rope_theta":500000.0})").rope_theta, 5e5);
  refuses_llama(ErrorKind::bad_data, R"("rope_theta":1e4,"rope_parameters":{"rope_theta":5e5})", "rope_theta is 10000, but rope_parameters say 500000");
}

TEST_F(HfConfigTest, OtherNamesOfGpt2sSizesAreRead) {
  EXPECT_EQ(gpt2(R"(,"hidden_size":48,"num_hidden_layers":2,"num_attention_heads":3,"max_position_embeddings":9)").hidden_size, 48);
  refuses_gpt2(ErrorKind::bad_data, R"("hidden_size":48,"n_embd":24)", "n_embd is 24, but hidden_size, its other name, is 48");
}

TEST_F(HfConfigTest, AnInnerWidthIsRead) { EXPECT_EQ(gpt2(R"(,"n_inner":100)").inner_size(), 100); }

TEST_F(HfConfigTest, DropoutOfAttentionIsReadAsZeroWithAWarning) {
  const auto with = read(R"({"model_type":"gpt2","resid_pdrop":0.2,"embd_pdrop":0.2,"attn_pdrop":0.3})");
  EXPECT_EQ(std::get<Gpt2Config>(with.model).dropout, 0.2);
  EXPECT_THAT(with.warnings, testing::ElementsAre(HasSubstr("attn_pdrop 0.3 is read as 0")));
  EXPECT_THAT(read(R"({"model_type":"gpt2"})").warnings, testing::ElementsAre(HasSubstr("attn_pdrop 0.1 is read as 0")));
  EXPECT_THAT(read(R"({"model_type":"gpt2","attn_pdrop":0.0})").warnings, IsEmpty());
  EXPECT_THAT(read(R"({"model_type":"llama","attention_dropout":0.3})").warnings, testing::ElementsAre(HasSubstr("attention_dropout 0.3 is read as 0")));
  EXPECT_THAT(read(R"({"model_type":"llama"})").warnings, IsEmpty());
  refuses_gpt2(ErrorKind::configuration, R"("resid_pdrop":0.0)", "resid_pdrop 0 and embd_pdrop 0.1 differ");
}

TEST_F(HfConfigTest, WhatIsNotImplementedIsRefusedByName) {
  const auto kind = ErrorKind::configuration;
  refuses(kind, R"({"model_type":"mamba"})", "model_type is mamba, which is not implemented, expected gpt2 or llama");
  refuses_gpt2(kind, R"("activation_function":"relu")", "activation_function is relu, which is not implemented");
  refuses_gpt2(kind, R"("activation_function":"gelu")", "activation_function is gelu, which");
  refuses_gpt2(kind, R"("scale_attn_by_inverse_layer_idx":true)", "scale_attn_by_inverse_layer_idx is true, which is not implemented, expected false");
  refuses_gpt2(kind, R"("scale_attn_weights":false)", "scale_attn_weights is false, which is not implemented, expected true");
  refuses_gpt2(kind, R"("add_cross_attention":true)", "add_cross_attention is true");
  refuses_gpt2(kind, R"("quantization_config":{"bits":4})", "quantization_config is {\"bits\":4}, which is not implemented");
  refuses_llama(kind, R"("rope_scaling":{"type":"linear","factor":2.0})", "rope_scaling is {\"factor\":2.0,\"type\":\"linear\"}, which is not implemented");
  refuses_llama(kind, R"("rope_parameters":{"rope_theta":1e4,"rope_type":"llama3","factor":8})", "rope_parameters: rope_type is llama3");
  refuses_llama(kind, R"("rope_parameters":{"rope_theta":1e4,"partial_rotary_factor":0.5})", "partial_rotary_factor is 0.5");
  refuses_llama(kind, R"("rope_parameters":{"full_attention":{"rope_theta":1e4}})", "full_attention is {");
  refuses_llama(kind, R"("sliding_window":4096)", "sliding_window is 4096");
  refuses_llama(kind, R"("attention_bias":true)", "attention_bias is true");
  refuses_llama(kind, R"("mlp_bias":true)", "mlp_bias is true");
  refuses_llama(kind, R"("hidden_act":"gelu")", "hidden_act is gelu");
  refuses_llama(kind, R"("pretraining_tp":2)", "pretraining_tp is 2");
  EXPECT_NO_THROW(gpt2(R"(,"reorder_and_upcast_attn":true,"activation_function":"gelu_pytorch_tanh","architectures":["X"],"task":{"a":[1]})"));
}

TEST_F(HfConfigTest, SizesThatContradictAreRefused) {
  const auto kind = ErrorKind::bad_data;
  refuses_gpt2(kind, R"("n_embd":100,"n_head":3)", "n_embd is 100, expected a multiple of n_head, which is 3");
  refuses_llama(kind, R"("hidden_size":100,"num_attention_heads":3)", "hidden_size is 100, no multiple of num_attention_heads 3");
  refuses_llama(kind, R"("num_attention_heads":4,"num_key_value_heads":3)", "num_attention_heads is 4, expected a multiple of num_key_value_heads, which is 3");
  refuses_llama(kind, R"("head_dim":7)", "heads are 7 wide, expected an even number");
}

TEST_F(HfConfigTest, WrongTypesAndRangesAreNamed) {
  const auto kind = ErrorKind::bad_data;
  refuses(kind, "[]", "is [], expected an object");
  refuses(kind, R"({})", "has no model_type");
  refuses(kind, R"({"model_type":3})", "model_type is 3, expected a text");
  refuses_gpt2(kind, R"("n_embd":"768")", "n_embd is \"768\", expected an integer from 1 to");
  refuses_gpt2(kind, R"("n_embd":768.0)", "n_embd is 768.0, expected an integer");
  refuses_gpt2(kind, R"("n_embd":0)", "n_embd is 0");
  refuses_gpt2(kind, R"("n_embd":-1)", "n_embd is -1");
  refuses_gpt2(kind, R"("n_layer":1000000000)", "n_layer is 1000000000, expected an integer from 1 to 10000");
  refuses_gpt2(kind, R"("n_embd":18446744073709551617)", "n_embd is 1.8446744073709552e+19");
  refuses_gpt2(kind, R"("n_embd":true)", "n_embd is true");
  refuses_gpt2(kind, R"("tie_word_embeddings":1)", "tie_word_embeddings is 1, expected true or false");
  refuses_gpt2(kind, R"("layer_norm_epsilon":"1e-5")", "layer_norm_epsilon is \"1e-5\", expected a number above 0");
  refuses_gpt2(kind, R"("layer_norm_epsilon":0)", "layer_norm_epsilon is 0");
  refuses_gpt2(kind, R"("resid_pdrop":1.0)", "resid_pdrop is 1.0, expected a number from 0 to below 1");
  refuses_llama(kind, R"("rope_parameters":[])", "rope_parameters is [], expected an object");
  refuses_llama(kind, R"("hidden_act":["silu"])", "hidden_act is [\"silu\"], expected a text");
}

TEST_F(HfConfigTest, WhatIsNoJsonIsRefused) {
  const auto kind = ErrorKind::bad_data;
  refuses(kind, "", "is not valid JSON");
  refuses(kind, "{\"model_type\":\"gpt2\"", "is not valid JSON");
  refuses(kind, "{\"model_type\":\"gpt2\",\"n_embd\":NaN}", "is not valid JSON");
  refuses(kind, "{\"model_type\":\"gp\xff\"}", "is not valid JSON");
  refuses(kind, R"({"model_type":"gpt2","n_embd":1,"n_embd":2})", "has the key \"n_embd\" twice");
  refuses(kind, R"({"model_type":"gpt2","a":[{"b":1,"b":2}]})", "has the key \"b\" twice");
  refuses(kind, R"({"model_type":"gpt2","a":)" + std::string(100'000, '[') + std::string(100'000, ']') + "}", "is nested deeper than 32");
  EXPECT_NO_THROW(read(R"({"model_type":"gpt2","a":{"b":1},"c":{"b":1}})"));
  expect_error(ErrorKind::missing_input, HasSubstr("none/config.json: No such file"), [&] { read_hf_config(path("none")); });
}

TEST_F(HfConfigTest, WhatIsWrittenReadsBackEqual) {
  const Gpt2Config gpt2{.vocab_size = 7, .hidden_size = 6, .num_hidden_layers = 5, .num_attention_heads = 2, .intermediate_size = 11,
                        .max_position_embeddings = 13, .tie_word_embeddings = false, .layer_norm_eps = 1e-3, .dropout = 0.25};
  const auto gpt2_back = std::get<Gpt2Config>(read(hf_config_json(gpt2)).model);
  EXPECT_EQ(hf_config_json(gpt2_back), hf_config_json(gpt2));
  EXPECT_EQ(std::tie(gpt2_back.vocab_size, gpt2_back.hidden_size, gpt2_back.num_hidden_layers, gpt2_back.num_attention_heads, gpt2_back.intermediate_size,
                     gpt2_back.max_position_embeddings, gpt2_back.tie_word_embeddings, gpt2_back.layer_norm_eps, gpt2_back.dropout),
            std::tie(gpt2.vocab_size, gpt2.hidden_size, gpt2.num_hidden_layers, gpt2.num_attention_heads, gpt2.intermediate_size,
                     gpt2.max_position_embeddings, gpt2.tie_word_embeddings, gpt2.layer_norm_eps, gpt2.dropout));
  const LlamaConfig llama{.vocab_size = 7, .hidden_size = 6, .num_hidden_layers = 5, .num_attention_heads = 4, .num_key_value_heads = 2, .head_dim = 8,
                          .intermediate_size = 11, .max_position_embeddings = 13, .tie_word_embeddings = true, .rms_norm_eps = 1e-3, .rope_theta = 12345.5};
  const auto back = std::get<LlamaConfig>(read(hf_config_json(llama)).model);
  EXPECT_EQ(std::tie(back.vocab_size, back.hidden_size, back.num_hidden_layers, back.num_attention_heads, back.num_key_value_heads, back.head_dim,
                     back.intermediate_size, back.max_position_embeddings, back.tie_word_embeddings, back.rms_norm_eps, back.rope_theta),
            std::tie(llama.vocab_size, llama.hidden_size, llama.num_hidden_layers, llama.num_attention_heads, llama.num_key_value_heads, llama.head_dim,
                     llama.intermediate_size, llama.max_position_embeddings, llama.tie_word_embeddings, llama.rms_norm_eps, llama.rope_theta));
}

TEST_F(HfConfigTest, AHeadAsWideAsTheModelReadsBack) {
  const LlamaConfig one_head{.hidden_size = 2048, .num_attention_heads = 1};
  EXPECT_EQ(std::get<LlamaConfig>(read(hf_config_json(one_head)).model).head_dim, 2048);
}

// transformers 4.x reads rope_theta and torch_dtype at the top, 5.x rope_parameters and dtype.
TEST_F(HfConfigTest, WritesWhatOldAndNewReadersLookFor) {
  const auto llama = Json::parse(hf_config_json(LlamaConfig{.rope_theta = 5e5}));
  EXPECT_EQ(llama["rope_theta"], 5e5);
  EXPECT_EQ(llama["rope_parameters"], (Json{{"rope_theta", 5e5}, {"rope_type", "default"}}));
  EXPECT_EQ(llama["dtype"], "float32");
  EXPECT_EQ(llama["torch_dtype"], "float32");
  EXPECT_EQ(llama["architectures"], Json::array({"LlamaForCausalLM"}));
  EXPECT_EQ(llama["num_key_value_heads"], 32);
  EXPECT_FALSE(llama.contains("eos_token_id")) << "the vocabulary is the family's";
  const auto gpt2 = Json::parse(hf_config_json(Gpt2Config{.vocab_size = 256}));
  EXPECT_EQ(gpt2["architectures"], Json::array({"GPT2LMHeadModel"}));
  EXPECT_TRUE(gpt2.at("eos_token_id").is_null()) << "50256 is outside the vocabulary";
  EXPECT_TRUE(gpt2.at("n_inner").is_null());
}

}  // namespace
}  // namespace zerorun
