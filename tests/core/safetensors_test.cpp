#include "core/weights/safetensors.h"

#include <unistd.h>

#include <cstring>

#include "tests/core/data_folder.h"
#include "tests/data_path.h"

namespace zerorun {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

std::string little_endian(uint64_t length) { return std::string(reinterpret_cast<const char*>(&length), sizeof(length)); }

std::string file_of(const std::string& header, const std::string& data) { return little_endian(header.size()) + header + data; }

std::string data_of(const std::vector<float>& values) {
  return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
}

std::string tensor(const std::string& name, const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return "\"" + name + R"(":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}

// A header, the bytes behind it, and what the error says of them.
struct Hostile {
  const char* kind;
  std::string header;
  int64_t data_bytes;
  std::string says;
};

std::ostream& operator<<(std::ostream& out, const Hostile& hostile) { return out << hostile.kind; }

class HostileHeader : public DataFolder, public testing::WithParamInterface<Hostile> {};

TEST_P(HostileHeader, IsRefusedWithTheFileAndTheReason) {
  const auto& test = GetParam();
  const auto file = write("w.safetensors", file_of(test.header, std::string(static_cast<size_t>(test.data_bytes), '\0')));
  expect_error(ErrorKind::bad_data, AllOf(StartsWith(file + ": "), HasSubstr(test.says)), [&] { SafetensorsFile{file}; });
}

const std::string kNested = "{\"a\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}";
const std::string kBadUtf8 = "{\"a\xff\":{}}";

INSTANTIATE_TEST_SUITE_P(
    Form, HostileHeader,
    testing::Values(
        Hostile{"empty", "", 0, "does not begin with {"}, Hostile{"list", "[]", 0, "does not begin with {"},
        Hostile{"space first", " {}", 0, "does not begin with {"}, Hostile{"byte order mark", "\xef\xbb\xbf{}", 0, "does not begin with {"},
        Hostile{"pickle", "\x80\x02}q", 0, "does not begin with {"}, Hostile{"newline last", "{}\n", 0, "followed by spaces only"},
        Hostile{"zero last", std::string("{}\0", 3), 0, "followed by spaces only"}, Hostile{"cut", R"({"a":{"dtype")", 0, "followed by spaces only"},
        Hostile{"cut at a brace", "{" + tensor("a", "U8", "[0]", "[0,0]"), 0, "not valid JSON at byte"}, Hostile{"two values", "{}{}", 0, "not valid JSON at byte"},
        Hostile{"two values with spaces", "{}  {}", 0, "not valid JSON at byte"}, Hostile{"comment", "{/**/}", 0, "not valid JSON at byte"},
        Hostile{"no quotes", "{a:{}}", 0, "not valid JSON at byte"}, Hostile{"invalid UTF-8", kBadUtf8, 0, "not valid JSON at byte"},
        Hostile{"lone surrogate", R"({"a\ud800":{}})", 0, "not valid JSON at byte"}, Hostile{"overlong", "{\"\xc0\xaf\":{}}", 0, "not valid JSON at byte"},
        Hostile{"control character", "{\"a\x01\":{}}", 0, "not valid JSON at byte"}, Hostile{"nested deeply", kNested, 0, "tensor a is a list, expected an object"},
        Hostile{"name that colours a terminal", R"({"\u001b[31m\n":null})", 0, "tensor ?[31m? is null"},
        Hostile{"tensor is null", R"({"a":null})", 0, "tensor a is null, expected an object of dtype, shape and data_offsets"},
        Hostile{"tensor is true", R"({"a":true})", 0, "tensor a is true, expected an object"}, Hostile{"tensor is text", R"({"a":"b"})", 0, "tensor a is the text \"b\""},
        Hostile{"same tensor twice", "{" + tensor("a", "U8", "[0]", "[0,0]") + "," + tensor("a", "U8", "[0]", "[0,0]") + "}", 0, "the header has a twice"},
        Hostile{"same tensor twice, escaped", "{" + tensor("a", "U8", "[0]", "[0,0]") + "," + tensor("\\u0061", "U8", "[0]", "[0,0]") + "}", 0, "the header has a twice"},
        Hostile{"same field twice", R"({"a":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}})", 0, "tensor a has dtype twice"},
        Hostile{"metadata twice", R"({"__metadata__":{},"__metadata__":{}})", 0, "the header has __metadata__ twice"},
        Hostile{"metadata key twice", R"({"__metadata__":{"a":"b","a":"b"}})", 0, "__metadata__ has a twice"},
        Hostile{"metadata number", R"({"__metadata__":{"a":1}})", 0, "__metadata__ a is 1, expected a text"},
        Hostile{"metadata object", R"({"__metadata__":{"a":{}}})", 0, "__metadata__ a is an object, expected a text"},
        Hostile{"metadata null", R"({"__metadata__":null})", 0, "__metadata__ is null, expected an object of texts"},
        Hostile{"metadata list", R"({"__metadata__":["a"]})", 0, "__metadata__ is a list, expected an object of texts"},
        Hostile{"no dtype", R"({"a":{"shape":[0],"data_offsets":[0,0]}})", 0, "tensor a has no dtype"},
        Hostile{"no shape", R"({"a":{"dtype":"U8","data_offsets":[0,0]}})", 0, "tensor a has no shape"},
        Hostile{"no offsets", R"({"a":{"dtype":"U8","shape":[0]}})", 0, "tensor a has no data_offsets"},
        Hostile{"empty tensor", R"({"a":{}})", 0, "tensor a has no dtype"},
        Hostile{"unknown field", R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"strides":[1]}})", 0, "tensor a has an unknown key strides"},
        Hostile{"unknown dtype", "{" + tensor("a", "F33", "[0]", "[0,0]") + "}", 0, "tensor a: unknown dtype F33"},
        Hostile{"dtype in lower case", "{" + tensor("a", "f32", "[0]", "[0,0]") + "}", 0, "tensor a: unknown dtype f32"},
        Hostile{"dtype is a number", R"({"a":{"dtype":1}})", 0, "tensor a: dtype is 1, expected the name of a type"}));

INSTANTIATE_TEST_SUITE_P(
    Numbers, HostileHeader,
    testing::Values(
        Hostile{"negative size", "{" + tensor("a", "U8", "[-1]", "[0,0]") + "}", 0, "tensor a: a size in its shape is -1, expected an integer from 0"},
        Hostile{"float size", "{" + tensor("a", "U8", "[1.0]", "[0,1]") + "}", 1, "tensor a: a size in its shape is 1.0, expected an integer"},
        Hostile{"exponent", "{" + tensor("a", "U8", "[1e0]", "[0,1]") + "}", 1, "tensor a: a size in its shape is 1e0, expected an integer"},
        Hostile{"size of 2^63", "{" + tensor("a", "U8", "[9223372036854775808]", "[0,0]") + "}", 0, "is 9223372036854775808, expected an integer"},
        Hostile{"size of 2^64", "{" + tensor("a", "U8", "[18446744073709551616]", "[0,0]") + "}", 0, "is 18446744073709551616, expected an integer"},
        Hostile{"number beyond doubles", "{" + tensor("a", "U8", "[1e999]", "[0,0]") + "}", 0, "not valid JSON at byte"},
        Hostile{"shape is a number", "{" + tensor("a", "U8", "3", "[0,3]") + "}", 3, "tensor a: shape is 3, expected a list of sizes"},
        Hostile{"nested shape", "{" + tensor("a", "U8", "[[3]]", "[0,3]") + "}", 3, "tensor a: a size in its shape is a list"},
        Hostile{"text in the shape", "{" + tensor("a", "U8", "[\"3\"]", "[0,3]") + "}", 3, "tensor a: a size in its shape is the text \"3\""},
        Hostile{"product beyond 2^63", "{" + tensor("a", "U8", "[4294967296,4294967296]", "[0,0]") + "}", 0, "tensor a: shape [4294967296, 4294967296] has more"},
        Hostile{"product that wraps to 0", "{" + tensor("a", "U8", "[9223372036854775807,2,2]", "[0,0]") + "}", 0, "has more elements than can be counted"},
        Hostile{"bytes beyond 2^63", "{" + tensor("a", "F64", "[4611686018427387904]", "[0,0]") + "}", 0, "has more elements than can be counted"},
        Hostile{"negative offset", "{" + tensor("a", "U8", "[1]", "[-1,0]") + "}", 0, "tensor a: a data_offset is -1, expected an integer from 0"},
        Hostile{"float offset", "{" + tensor("a", "U8", "[1]", "[0,1.5]") + "}", 1, "tensor a: a data_offset is 1.5"},
        Hostile{"offset of 2^64 - 1", "{" + tensor("a", "U8", "[1]", "[0,18446744073709551615]") + "}", 1, "a data_offset is 18446744073709551615"},
        Hostile{"one offset", "{" + tensor("a", "U8", "[0]", "[0]") + "}", 0, "tensor a: data_offsets has 1 places, expected [begin, end]"},
        Hostile{"three offsets", "{" + tensor("a", "U8", "[0]", "[0,0,0]") + "}", 0, "tensor a: data_offsets has more than two places"},
        Hostile{"offsets as object", "{" + tensor("a", "U8", "[0]", "{}") + "}", 0, "tensor a: data_offsets is an object"}));

INSTANTIATE_TEST_SUITE_P(
    Places, HostileHeader,
    testing::Values(
        Hostile{"begin after end", "{" + tensor("a", "U8", "[4]", "[4,0]") + "}", 4, "data_offsets are [4, 0], expected begin <= end <= 4"},
        Hostile{"end after the file", "{" + tensor("a", "U8", "[8]", "[0,8]") + "}", 4, "expected begin <= end <= 4, the bytes after the header (is the file cut short?)"},
        Hostile{"end near 2^63", "{" + tensor("a", "U8", "[8]", "[0,9223372036854775807]") + "}", 8, "data_offsets are [0, 9223372036854775807]"},
        Hostile{"too few bytes", "{" + tensor("a", "F32", "[2,2]", "[0,8]") + "}", 8, "tensor a: data_offsets hold 8 bytes, but shape [2, 2] of F32 takes 128 bits"},
        Hostile{"too many bytes", "{" + tensor("a", "F32", "[1]", "[0,8]") + "}", 8, "data_offsets hold 8 bytes, but shape [1] of F32 takes 32 bits"},
        Hostile{"half a byte", "{" + tensor("a", "F4", "[3]", "[0,1]") + "}", 1, "data_offsets hold 1 bytes, but shape [3] of F4 takes 12 bits"},
        Hostile{"bytes without elements", "{" + tensor("a", "F32", "[0]", "[0,4]") + "}", 4, "data_offsets hold 4 bytes"},
        Hostile{"hole at the start", "{" + tensor("a", "U8", "[4]", "[4,8]") + "}", 8, "tensor a begins at byte 4, expected 0, where the one before it ends: there is a hole"},
        Hostile{"hole between", "{" + tensor("a", "U8", "[4]", "[0,4]") + "," + tensor("b", "U8", "[4]", "[6,10]") + "}", 10, "tensor b begins at byte 6, expected 4"},
        Hostile{"overlap", "{" + tensor("a", "U8", "[4]", "[0,4]") + "," + tensor("b", "U8", "[4]", "[2,6]") + "}", 6, "tensor b begins at byte 2, expected 4, where the one before it ends: they overlap"},
        Hostile{"same place", "{" + tensor("a", "U8", "[4]", "[0,4]") + "," + tensor("b", "U8", "[4]", "[0,4]") + "}", 4, "they overlap"},
        Hostile{"empty tensor inside another", "{" + tensor("a", "U8", "[4]", "[0,4]") + "," + tensor("b", "U8", "[0]", "[2,2]") + "}", 4, "they overlap"},
        Hostile{"bytes after the last", "{" + tensor("a", "U8", "[4]", "[0,4]") + "}", 5, "5 bytes follow the header, but the tensors end at 4"},
        Hostile{"bytes without a tensor", "{}", 1, "1 bytes follow the header, but the tensors end at 0"}));

class SafetensorsTest : public DataFolder {};

TEST_F(SafetensorsTest, ReadsTensorsInAnyOrderWithoutAndWithElements) {
  const auto header = "{" + tensor("second", "F32", "[2,2]", "[4,20]") + "," + tensor("none", "I64", "[3,0]", "[4,4]") + "," +
                      tensor("scalar", "F32", "[]", "[0,4]") + R"(,"__metadata__":{"format":"pt"}}   )";
  const SafetensorsFile file(write("w.safetensors", file_of(header, data_of({7, 1, 2, 3, 4}))));
  EXPECT_EQ(file.metadata(), (std::map<std::string, std::string>{{"format", "pt"}}));
  ASSERT_EQ(file.tensors().size(), 3u);
  EXPECT_EQ(file.tensors().at("none").dtype, Dtype::i64);
  EXPECT_EQ(file.tensors().at("none").count(), 0);
  EXPECT_EQ(file.tensors().at("scalar").count(), 1);
  EXPECT_EQ(file.tensors().at("second").shape, (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(file.tensors().at("second").bytes(), 16);
  std::vector<float> values(2);
  file.read("second", 1, 2, values.data());
  EXPECT_EQ(values, (std::vector<float>{2, 3}));
  file.read("scalar", 0, 1, values.data());
  EXPECT_EQ(values[0], 7);
}

TEST_F(SafetensorsTest, ReadsAFileWithoutTensors) { EXPECT_TRUE(SafetensorsFile(write("w.safetensors", file_of("{}", ""))).tensors().empty()); }

TEST_F(SafetensorsTest, KnowsEveryTypeOfTheFormatWithItsWidth) {
  const std::vector<std::pair<std::string, int64_t>> bits = {
      {"BOOL", 8},    {"F4", 4},  {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},   {"I8", 8},   {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8},
      {"I16", 16}, {"U16", 16}, {"F16", 16}, {"BF16", 16}, {"I32", 32}, {"U32", 32}, {"F32", 32}, {"C64", 64}, {"F64", 64}, {"I64", 64}, {"U64", 64}};
  for (const auto& [name, width] : bits) {
    const auto header = "{" + tensor("a", name, "[8]", "[0," + std::to_string(width) + "]") + "}";
    const SafetensorsFile file(write(name, file_of(header, std::string(static_cast<size_t>(width), 'x'))));
    EXPECT_EQ(name_of(file.tensors().at("a").dtype), name);
  }
}

// Every bit pattern of a half is a float; each must be the right one.
TEST_F(SafetensorsTest, WidensHalvesExactly) {
  std::string stored(2 << 16, '\0');
  for (uint32_t i = 0; i < 1 << 16; ++i) std::memcpy(&stored[2 * i], &i, 2);
  const auto path = write("w.safetensors", file_of("{" + tensor("half", "F16", "[65536]", "[0,131072]") + "," + tensor("brain", "BF16", "[65536]", "[131072,262144]") + "}", stored + stored));
  const SafetensorsFile file(path);
  std::vector<float> half(1 << 16), brain(1 << 16);
  file.read("half", 0, 1 << 16, half.data());
  file.read("brain", 0, 1 << 16, brain.data());
  EXPECT_EQ(half[0x3c00], 1.0f);
  EXPECT_EQ(half[0xc000], -2.0f);
  EXPECT_EQ(half[0x7bff], 65504.0f);
  EXPECT_EQ(half[0x0001], std::ldexp(1.0f, -24));
  EXPECT_EQ(half[0x7c00], std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(half[0x7e00]));
  for (uint32_t i = 0; i < 0x7c00; ++i) {
    const int exponent = static_cast<int>(i >> 10), fraction = static_cast<int>(i & 0x3ff);
    const float expected = exponent ? std::ldexp(1024.0f + static_cast<float>(fraction), exponent - 25) : std::ldexp(static_cast<float>(fraction), -24);
    ASSERT_EQ(half[i], expected) << i;
    ASSERT_EQ(half[i | 0x8000], -expected) << i;
  }
  for (uint32_t i = 0; i < 1 << 16; ++i) {
    const uint32_t bits = i << 16;
    ASSERT_EQ(std::memcmp(&brain[i], &bits, 4), 0) << i;
  }
}

// Longer than one chunk, from an odd place.
TEST_F(SafetensorsTest, ReadsAnyRangeOfALongTensor) {
  constexpr int64_t kCount = 200'000;
  std::vector<uint16_t> stored(kCount);
  for (int64_t i = 0; i < kCount; ++i) stored[static_cast<size_t>(i)] = static_cast<uint16_t>(i * 7);
  const auto header = "{" + tensor("a", "BF16", "[2,100000]", "[0,400000]") + "}";
  const SafetensorsFile file(write("w.safetensors", file_of(header, std::string(reinterpret_cast<const char*>(stored.data()), 2 * kCount))));
  for (const auto& [first, count] : {std::pair<int64_t, int64_t>{1, 65'536}, {65'535, 70'001}, {0, kCount}, {kCount - 1, 1}, {kCount, 0}}) {
    std::vector<float> values(static_cast<size_t>(count) + 1, 42);
    file.read("a", first, count, values.data());
    for (int64_t i = 0; i < count; ++i) {
      const uint32_t bits = static_cast<uint32_t>(stored[static_cast<size_t>(first + i)]) << 16;
      ASSERT_EQ(std::memcmp(&values[static_cast<size_t>(i)], &bits, 4), 0) << first + i;
    }
    EXPECT_EQ(values.back(), 42) << "nothing behind the range is touched";
  }
}

TEST_F(SafetensorsTest, RefusesToReadWhatIsNoFloat) {
  const SafetensorsFile file(write("w.safetensors", file_of("{" + tensor("a", "I64", "[1]", "[0,8]") + "}", std::string(8, '\0'))));
  float value = 0;
  expect_error(ErrorKind::bad_data, HasSubstr("tensor a is of I64, expected F32, F16 or BF16"), [&] { file.read("a", 0, 1, &value); });
  expect_error(ErrorKind::bug, HasSubstr("has no tensor b"), [&] { file.read("b", 0, 1, &value); });
  expect_error(ErrorKind::bug, HasSubstr("elements [0, 2) of a, which has 1"), [&] { file.read("a", 0, 2, &value); });
}

TEST_F(SafetensorsTest, RefusesAFileThatIsCutAnywhere) {
  const auto whole = file_of("{" + tensor("a", "F32", "[2]", "[0,8]") + "}", data_of({1, 2}));
  for (size_t length = 0; length < whole.size(); ++length) {
    const auto path = write("cut.safetensors", whole.substr(0, length));
    expect_error(ErrorKind::bad_data, HasSubstr(path), [&] { SafetensorsFile{path}; });
  }
  const auto path = write("seven.safetensors", "1234567");
  expect_error(ErrorKind::bad_data, HasSubstr("has 7 bytes, expected at least the 8"), [&] { SafetensorsFile{path}; });
}

TEST_F(SafetensorsTest, RefusesAHeaderLengthBeyondTheFileOrTheLimit) {
  for (const uint64_t length : {UINT64_MAX, UINT64_MAX - 7, uint64_t{1} << 63, kMostHeaderBytes + 1}) {
    const auto path = write("w.safetensors", little_endian(length) + "{}");
    expect_error(ErrorKind::bad_data, AllOf(StartsWith(path), HasSubstr(std::to_string(length) + ", expected at most 100000000")), [&] { SafetensorsFile{path}; });
  }
  for (const uint64_t length : {uint64_t{3}, kMostHeaderBytes}) {
    const auto path = write("w.safetensors", little_endian(length) + "{}");
    expect_error(ErrorKind::bad_data, AllOf(StartsWith(path), HasSubstr(", but 2 bytes follow it")), [&] { SafetensorsFile{path}; });
  }
}

TEST_F(SafetensorsTest, AFileCutWhileItIsOpenIsAnError) {
  const auto path = write("w.safetensors", file_of("{" + tensor("a", "F32", "[2]", "[0,8]") + "}", data_of({1, 2})));
  const SafetensorsFile file(path);
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 4);
  std::vector<float> values(2);
  file.read("a", 0, 1, values.data());
  expect_error(ErrorKind::bad_data, AllOf(HasSubstr(path), HasSubstr("4 bytes before what is read there")), [&] { file.read("a", 0, 2, values.data()); });
}

TEST_F(SafetensorsTest, WhatIsNoFileIsNamed) {
  expect_error(ErrorKind::missing_input, HasSubstr("none.safetensors: No such file"), [&] { SafetensorsFile{path("none.safetensors")}; });
  expect_error(ErrorKind::bad_data, HasSubstr("is not a regular file"), [&] { SafetensorsFile{path("")}; });
  expect_error(ErrorKind::bad_data, HasSubstr("is not a regular file"), [&] { SafetensorsFile{"/dev/zero"}; });
}

// Written by the format's own library.
TEST_F(SafetensorsTest, ReadsRealFiles) {
  const SafetensorsFile file(data_path("core/data/hf/gpt2-tiny/hf/model.safetensors"));
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(file.tensors().at("transformer.h.2.attn.c_attn.weight").shape, (std::vector<int64_t>{64, 192}));
  int64_t count = 0;
  for (const auto& [name, stored] : file.tensors()) count += stored.count();
  EXPECT_EQ(count, 170'624);
}

}  // namespace
}  // namespace zerorun
