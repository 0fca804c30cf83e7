// The header of a safetensors file: which tensors it holds and where. Every rule of the format is checked here, before a
// byte of the tensors is looked at; what comes out can be trusted.
//
//   8 bytes          length of the header, little-endian, at most kMostHeaderBytes
//   the header       JSON: {"__metadata__": {text: text}, name: {"dtype", "shape", "data_offsets": [begin, end]}, ...},
//                    beginning with {, followed by spaces only
//   the tensors      back to back in any order, without holes, to the end of the file; offsets count from here
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace zerorun {

inline constexpr uint64_t kMostHeaderBytes = 100'000'000;
inline constexpr int64_t kHeaderLengthBytes = 8;

enum class Dtype {
  boolean, f4, f6_e2m3, f6_e3m2, u8, i8, f8_e5m2, f8_e4m3, f8_e8m0, f8_e4m3fnuz, f8_e5m2fnuz,
  i16, u16, f16, bf16, i32, u32, f32, c64, f64, i64, u64
};

std::string_view name_of(Dtype dtype);  // "BF16"
int64_t bits_of(Dtype dtype);
std::optional<Dtype> find_dtype(std::string_view name);

struct StoredTensor {
  Dtype dtype = Dtype::f32;
  std::vector<int64_t> shape;
  int64_t begin = 0, end = 0;  // bytes, from the end of the header

  int64_t bytes() const { return end - begin; }
  int64_t count() const;  // elements; 1 for an empty shape
};

struct SafetensorsHeader {
  std::map<std::string, StoredTensor> tensors;
  std::map<std::string, std::string> metadata;
};

// `text` is the header, `data_bytes` what follows it in the file. `path` is for messages only.
// Throws Error(bad_data) that names the file, the tensor, what was found and what was expected. Costs memory in proportion
// to the tensors that are named, whatever else the text holds.
SafetensorsHeader parse_safetensors_header(std::string_view text, int64_t data_bytes, const std::string& path);

// The product of sizes; nothing where one is negative or the product does not fit.
std::optional<int64_t> elements_of(const std::vector<int64_t>& shape);

// A text from a file, fit for one line of a message: what is not printable ASCII is a '?', what is long is cut.
std::string shown(std::string_view text);
// "[3, 4]"
std::string shape_text(const std::vector<int64_t>& shape);

}  // namespace zerorun
