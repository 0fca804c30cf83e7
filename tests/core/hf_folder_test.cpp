#include "core/weights/hf_folder.h"

#include <nlohmann/json.hpp>

#include "core/weights/safetensors_writer.h"
#include "tests/core/data_folder.h"
#include "tests/data_path.h"

namespace zerorun {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using Json = nlohmann::json;
using Values = std::map<std::string, std::vector<float>>;

std::string model(const std::string& name) { return data_path("core/data/hf/" + name); }

Values values_of(const HfFolder& folder) {
  Values values;
  const auto model = make_model(folder.config());
  for (const auto& group : model.groups()) {
    for (const auto& parameter : group.parameters) {
      auto& value = values[parameter.name];
      value.resize(static_cast<size_t>(parameter.count()));
      folder.fill(parameter, 0, parameter.count(), value.data());
    }
  }
  return values;
}

// A tensor that a test puts into a file, as fp32.
struct Stored {
  std::vector<int64_t> shape;
  std::vector<float> values;
};
using Tensors = std::map<std::string, Stored>;

// A copy of a folder that a test spoils.
class HfFolderTest : public DataFolder {
 protected:
  void copy(const std::string& name) { fs::copy(model(name), path("hf"), fs::copy_options::recursive); }
  std::string folder() const { return path("hf"); }

  Tensors tensors(const std::string& file = "model.safetensors") const {
    const SafetensorsFile opened(folder() + "/" + file);
    Tensors tensors;
    for (const auto& [name, stored] : opened.tensors()) {
      auto& tensor = tensors[name] = {stored.shape, std::vector<float>(static_cast<size_t>(stored.count()))};
      opened.read(name, 0, stored.count(), tensor.values.data());
    }
    return tensors;
  }
  void store(const Tensors& tensors, const std::string& file = "model.safetensors") const {
    std::vector<TensorDeclaration> declarations;
    for (const auto& [name, tensor] : tensors) declarations.push_back({name, Dtype::f32, tensor.shape});
    SafetensorsWriter writer(folder() + "/" + file, declarations);
    for (const auto& [name, tensor] : tensors) writer.write(tensor.values.data(), static_cast<int64_t>(tensor.values.size() * sizeof(float)));
    writer.finish();
  }
  void refuses(ErrorKind kind, const testing::Matcher<const std::string&>& message) const {
    expect_error(kind, AllOf(HasSubstr(folder()), message), [&] { HfFolder{folder()}; });
  }

  Json index() const { return Json::parse(std::ifstream(folder() + "/model.safetensors.index.json")); }
  void store(const Json& index) const { std::ofstream(folder() + "/model.safetensors.index.json") << index; }
};

Tensors renamed(const Tensors& tensors, const std::string& from, const std::string& to) {
  Tensors all;
  for (const auto& [name, tensor] : tensors) all[name.starts_with(from) ? to + name.substr(from.size()) : name] = tensor;
  return all;
}

TEST_F(HfFolderTest, GivesEveryParameterOfRealFolders) {
  for (const auto& name : std::vector<std::string>{"gpt2-tiny/hf", "llama-tiny/hf", "llama-wide-head/hf"}) {
    const HfFolder folder(model(name));
    const SafetensorsFile file(model(name) + "/model.safetensors");
    const auto values = values_of(folder);
    EXPECT_EQ(values.size(), file.tensors().size());
    for (const auto& [parameter, value] : values) {
      std::vector<float> stored(value.size());
      file.read(parameter, 0, static_cast<int64_t>(stored.size()), stored.data());
      EXPECT_EQ(value, stored) << parameter;
    }
  }
}

TEST_F(HfFolderTest, GivesAnyRangeOfAParameter) {
  const HfFolder folder(model("gpt2-tiny/hf"));
  const Parameter parameter{"transformer.h.1.mlp.c_fc.weight", {64, 256}, Init::normal(0.02)};
  const auto whole = values_of(folder).at(parameter.name);
  std::vector<float> part(1000);
  folder.fill(parameter, 777, 1000, part.data());
  EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + 777));
}

TEST_F(HfFolderTest, ShardsGiveTheSameAsOneFile) {
  EXPECT_EQ(values_of(HfFolder(model("llama-wide-head/hf-sharded"))), values_of(HfFolder(model("llama-wide-head/hf"))));
}

TEST_F(HfFolderTest, NamesOfTheBareModelAreFilledUp) {
  for (const auto& [name, prefix] : {std::pair<std::string, std::string>{"gpt2-tiny", "transformer."}, {"llama-tiny", "model."}}) {
    fs::remove_all(folder());
    copy(name + "/hf");
    store(renamed(tensors(), prefix, ""));
    EXPECT_EQ(values_of(HfFolder(folder())), values_of(HfFolder(model(name + "/hf"))));
  }
}

TEST_F(HfFolderTest, OldBuffersAreSkippedByTheirFullName) {
  copy("gpt2-tiny/hf");
  auto all = tensors();
  for (const char* name : {"transformer.h.0.attn.bias", "transformer.h.2.attn.bias", "transformer.h.1.attn.masked_bias"}) all[name] = {{1}, {-1e4f}};
  store(all);
  EXPECT_EQ(values_of(HfFolder(folder())), values_of(HfFolder(model("gpt2-tiny/hf"))));
  all["transformer.h.3.attn.bias"] = {{1}, {1}};  // there is no such layer
  store(all);
  refuses(ErrorKind::bad_data, HasSubstr("unexpected tensor transformer.h.3.attn.bias"));
  fs::remove_all(folder());
  copy("llama-tiny/hf");
  all = tensors();
  all["model.layers.2.self_attn.rotary_emb.inv_freq"] = {{2}, {1, 1}};
  store(all);
  EXPECT_EQ(values_of(HfFolder(folder())), values_of(HfFolder(model("llama-tiny/hf"))));
}

TEST_F(HfFolderTest, ATiedModelMayHaveAHeadThatIsEqual) {
  copy("gpt2-tiny/hf");
  auto all = tensors();
  all["lm_head.weight"] = all.at("transformer.wte.weight");
  store(all);
  EXPECT_EQ(values_of(HfFolder(folder())), values_of(HfFolder(model("gpt2-tiny/hf"))));
  all["lm_head.weight"].values.back() += 1e-3f;
  store(all);
  refuses(ErrorKind::bad_data, HasSubstr("lm_head.weight differs from transformer.wte.weight, but tie_word_embeddings in config.json is true"));
  all["lm_head.weight"] = {{1}, {1}};
  store(all);
  refuses(ErrorKind::bad_data, HasSubstr("lm_head.weight differs from"));
}

TEST_F(HfFolderTest, AnUntiedModelNeedsItsHead) {
  copy("llama-tiny/hf");
  auto all = tensors();
  all.erase("lm_head.weight");
  store(all);
  refuses(ErrorKind::bad_data, HasSubstr("has no tensor lm_head.weight of shape [257, 64], and tie_word_embeddings in its config.json is false"));
}

TEST_F(HfFolderTest, AnUnexpectedTensorIsNamedWithTheNearestMissingOne) {
  copy("gpt2-tiny/hf");
  store(renamed(tensors(), "transformer.h.1.mlp.c_fc.weight", "transformer.h.1.mlp.c_cf.weight"));
  refuses(ErrorKind::bad_data, HasSubstr("unexpected tensor transformer.h.1.mlp.c_cf.weight (did you mean transformer.h.1.mlp.c_fc.weight?)"));
}

TEST_F(HfFolderTest, AMissingTensorIsNamed) {
  copy("gpt2-tiny/hf");
  auto all = tensors();
  all.erase("transformer.h.1.ln_2.bias");
  store(all);
  refuses(ErrorKind::bad_data, HasSubstr("has no tensor transformer.h.1.ln_2.bias of shape [64]"));
}

TEST_F(HfFolderTest, AShapeThatContradictsIsNamedWithBoth) {
  copy("gpt2-tiny/hf");
  auto all = tensors();
  all.at("transformer.h.0.mlp.c_fc.weight").shape = {256, 64};
  store(all);
  refuses(ErrorKind::bad_data, HasSubstr("transformer.h.0.mlp.c_fc.weight has shape [256, 64], but config.json makes it [64, 256]"));
}

TEST_F(HfFolderTest, ATensorUnderBothNamesIsRefused) {
  copy("gpt2-tiny/hf");
  auto all = tensors();
  all["ln_f.bias"] = all.at("transformer.ln_f.bias");
  store(all);
  refuses(ErrorKind::bad_data, HasSubstr("has transformer.ln_f.bias twice: as ln_f.bias and as transformer.ln_f.bias"));
}

TEST_F(HfFolderTest, TypesThatAreNoFloatsAreRefused) {
  copy("gpt2-tiny/hf");
  std::vector<TensorDeclaration> declarations;
  const auto all = tensors();
  for (const auto& [name, tensor] : all) declarations.push_back({name, name == "transformer.ln_f.bias" ? Dtype::i32 : Dtype::f32, tensor.shape});
  SafetensorsWriter writer(folder() + "/model.safetensors", declarations);
  for (const auto& [name, tensor] : all) writer.write(tensor.values.data(), static_cast<int64_t>(tensor.values.size() * sizeof(float)));
  writer.finish();
  refuses(ErrorKind::bad_data, HasSubstr("transformer.ln_f.bias is of I32, expected F32, F16 or BF16"));
}

TEST_F(HfFolderTest, AFolderWithoutWeightsSaysWhatWasLookedFor) {
  copy("gpt2-tiny/hf");
  fs::remove(folder() + "/model.safetensors");
  refuses(ErrorKind::missing_input, HasSubstr("neither model.safetensors nor model.safetensors.index.json"));
  write("hf/pytorch_model.bin", "x");
  refuses(ErrorKind::missing_input, HasSubstr("pytorch_model.bin is not read"));
}

TEST_F(HfFolderTest, AnIndexMayNameOnlyPlainFilesOfItsFolder) {
  copy("llama-wide-head/hf-sharded");
  const auto good = index();
  const std::string shard = "model-00001-of-00003.safetensors";
  fs::copy(folder() + "/" + shard, path(shard));
  fs::create_directory(folder() + "/sub");
  fs::copy(folder() + "/" + shard, folder() + "/sub/" + shard);
  for (const auto& name : std::vector<std::string>{"../" + shard, path(shard), "sub/" + shard, "./" + shard, "..", ".", ""}) {
    auto spoilt = good;
    for (auto& file : spoilt["weight_map"]) file = file == shard ? Json(name) : file;
    store(spoilt);
    refuses(ErrorKind::bad_data, AllOf(HasSubstr("model.safetensors.index.json: \"" + name + "\" is no plain name")));
  }
  store(good);
  fs::remove(folder() + "/" + shard);
  fs::create_symlink(path(shard), folder() + "/" + shard);
  refuses(ErrorKind::bad_data, HasSubstr(shard + " is a link that leads out of its folder"));
  fs::remove(folder() + "/" + shard);
  fs::rename(path(shard), folder() + "/moved");
  fs::create_symlink("moved", folder() + "/" + shard);
  EXPECT_NO_THROW(HfFolder{folder()});
  fs::remove(folder() + "/moved");
  refuses(ErrorKind::missing_input, HasSubstr("index.json names " + shard));
}

TEST_F(HfFolderTest, AnIndexThatTheFilesContradictIsRefused) {
  copy("llama-wide-head/hf-sharded");
  const auto good = index();
  const std::string moved = "model.layers.0.mlp.up_proj.weight", other = "model-00003-of-00003.safetensors";
  auto spoilt = good;
  spoilt["weight_map"][moved] = other;
  store(spoilt);
  refuses(ErrorKind::bad_data, HasSubstr("has tensor " + moved + ", which is in " + other + " according to"));
  spoilt = good;
  spoilt["weight_map"].erase(moved);
  store(spoilt);
  refuses(ErrorKind::bad_data, HasSubstr("has tensor " + moved + ", which " + folder() + "/model.safetensors.index.json does not name"));
  spoilt = good;
  spoilt["weight_map"]["model.more"] = other;
  store(spoilt);
  refuses(ErrorKind::bad_data, HasSubstr("has no tensor model.more, which is there according to"));
  store(good);
  auto shard = tensors(other);
  shard[moved] = {{1}, {1}};
  store(shard, other);
  refuses(ErrorKind::bad_data, HasSubstr(other + " has tensor " + moved + ", which is in model-00002-of-00003.safetensors according to"));
}

TEST_F(HfFolderTest, AnIndexOfAnotherFormIsRefused) {
  copy("llama-wide-head/hf-sharded");
  for (const auto* text : {"[]", "{}", R"({"weight_map":[]})", R"({"weight_map":null})"}) {
    store(Json::parse(text));
    refuses(ErrorKind::bad_data, HasSubstr("has no weight_map"));
  }
  store(Json::parse(R"({"weight_map":{}})"));
  refuses(ErrorKind::bad_data, HasSubstr("has an empty weight_map"));
  store(Json::parse(R"({"weight_map":{"a":1}})"));
  refuses(ErrorKind::bad_data, HasSubstr("the file of a is number, expected a text"));
}

}  // namespace
}  // namespace zerorun
