#include <array>

#include "core/weights/safetensors_header.h"

namespace zerorun {
namespace {

struct Kind {
  std::string_view name;
  int64_t bits;
};

// In the order of the enumeration.
constexpr std::array<Kind, 22> kKinds{{{"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6},     {"F6_E3M2", 6},     {"U8", 8},   {"I8", 8},
                                       {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8},     {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8},
                                       {"I16", 16},    {"U16", 16},    {"F16", 16},        {"BF16", 16},       {"I32", 32}, {"U32", 32},
                                       {"F32", 32},    {"C64", 64},    {"F64", 64},        {"I64", 64},        {"U64", 64}}};
static_assert(kKinds[static_cast<size_t>(Dtype::u64)].name == "U64" && kKinds[static_cast<size_t>(Dtype::bf16)].name == "BF16");

}  // namespace

std::string_view name_of(Dtype dtype) { return kKinds.at(static_cast<size_t>(dtype)).name; }

int64_t bits_of(Dtype dtype) { return kKinds.at(static_cast<size_t>(dtype)).bits; }

std::optional<Dtype> find_dtype(std::string_view name) {
  for (size_t i = 0; i < kKinds.size(); ++i) {
    if (kKinds[i].name == name) return static_cast<Dtype>(i);
  }
  return std::nullopt;
}

}  // namespace zerorun
