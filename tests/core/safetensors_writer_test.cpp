#include "core/weights/safetensors_writer.h"

#include <sys/stat.h>
#include <unistd.h>

#include "core/weights/safetensors.h"
#include "tests/core/data_folder.h"

namespace zerorun {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class SafetensorsWriterTest : public DataFolder {
 protected:
  std::string read(const std::string& name) const {
    std::ifstream file(path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path(""))) names.push_back(entry.path().filename());
    return names;
  }
};

const std::vector<TensorDeclaration> kTwo = {{"b", Dtype::f32, {2, 2}}, {"a", Dtype::f32, {3}}};
const std::vector<float> kValues = {1, 2, 3, 4, 5, 6, 7};

void write_all(SafetensorsWriter& writer) { writer.write(kValues.data(), static_cast<int64_t>(kValues.size() * sizeof(float))); }

TEST_F(SafetensorsWriterTest, WritesWhatTheReaderReadsInTheOrderOfDeclaration) {
  SafetensorsWriter writer(path("w.safetensors"), kTwo);
  for (const float& value : kValues) writer.write(&value, sizeof(value));  // in pieces
  EXPECT_EQ(names(), std::vector<std::string>{"w.safetensors.partial"}) << "absent until it is whole";
  writer.finish();
  EXPECT_EQ(names(), std::vector<std::string>{"w.safetensors"});
  const SafetensorsFile file(path("w.safetensors"));
  EXPECT_EQ(file.metadata(), (std::map<std::string, std::string>{{"format", "pt"}}));
  EXPECT_EQ(file.tensors().at("b").begin, 0);
  EXPECT_EQ(file.tensors().at("a").begin, 16);
  EXPECT_EQ(file.tensors().at("b").shape, (std::vector<int64_t>{2, 2}));
  std::vector<float> values(7);
  file.read("b", 0, 4, values.data());
  file.read("a", 0, 3, values.data() + 4);
  EXPECT_EQ(values, kValues);
}

TEST_F(SafetensorsWriterTest, PadsTheHeaderWithSpacesTo8Bytes) {
  for (const char* name : {"a", "ab", "abc", "abcd", "abcde", "abcdef", "abcdefg", "abcdefgh"}) {
    SafetensorsWriter writer(path("w.safetensors"), {{name, Dtype::u8, {0}}});
    writer.finish();
    const auto bytes = read("w.safetensors");
    EXPECT_EQ(bytes.size() % 8, 0u);
    EXPECT_EQ(bytes[8], '{');
    EXPECT_EQ(SafetensorsFile(path("w.safetensors")).tensors().count(name), 1u);
  }
}

TEST_F(SafetensorsWriterTest, LeavesNothingWithoutFinish) {
  write("w.safetensors", "what was there");
  {
    SafetensorsWriter writer(path("w.safetensors"), kTwo);
    write_all(writer);
  }
  EXPECT_EQ(names(), std::vector<std::string>{"w.safetensors"});
  EXPECT_EQ(read("w.safetensors"), "what was there");
}

TEST_F(SafetensorsWriterTest, AFullDiskIsAnIoErrorAndLeavesNothing) {
  ASSERT_EQ(::symlink("/dev/full", path("w.safetensors.partial").c_str()), 0);
  expect_error(ErrorKind::io, AllOf(HasSubstr("w.safetensors.partial"), HasSubstr("No space left on device")), [&] {
    SafetensorsWriter writer(path("w.safetensors"), kTwo);
  });
  EXPECT_EQ(names(), std::vector<std::string>{});
  ASSERT_EQ(::symlink("/dev/full", path("config.json.partial").c_str()), 0);
  expect_error(ErrorKind::io, HasSubstr("No space left on device"), [&] { write_whole(path("config.json"), "{}"); });
  EXPECT_EQ(names(), std::vector<std::string>{});
}

TEST_F(SafetensorsWriterTest, AFileThatCannotBeMadeIsNamed) {
  expect_error(ErrorKind::cannot_create, AllOf(HasSubstr("none/w.safetensors.partial"), HasSubstr("No such file")), [&] {
    SafetensorsWriter writer(path("none/w.safetensors"), kTwo);
  });
  std::filesystem::create_directory(path("w.safetensors"));
  expect_error(ErrorKind::io, HasSubstr("w.safetensors"), [&] {
    SafetensorsWriter writer(path("w.safetensors"), kTwo);
    write_all(writer);
    writer.finish();
  });
  EXPECT_EQ(names(), std::vector<std::string>{"w.safetensors"});
}

TEST_F(SafetensorsWriterTest, HoldsItsCallerToTheDeclaration) {
  SafetensorsWriter writer(path("w.safetensors"), kTwo);
  expect_error(ErrorKind::bug, HasSubstr("28 bytes of its tensors were not written"), [&] { writer.finish(); });
  write_all(writer);
  expect_error(ErrorKind::bug, HasSubstr("1 bytes more to write, expected at most 0"), [&] { writer.write("x", 1); });
  expect_error(ErrorKind::bug, HasSubstr("a is declared twice"), [&] { SafetensorsWriter(path("x"), {kTwo[1], kTwo[1]}); });
  expect_error(ErrorKind::bug, HasSubstr("cannot be written"), [&] { SafetensorsWriter(path("x"), {{"a", Dtype::f32, {INT64_MAX, 2}}}); });
}

TEST_F(SafetensorsWriterTest, WritesSmallTextsWhole) {
  write_whole(path("config.json"), "{}\n");
  EXPECT_EQ(read("config.json"), "{}\n");
  EXPECT_EQ(names(), std::vector<std::string>{"config.json"});
}

}  // namespace
}  // namespace zerorun
