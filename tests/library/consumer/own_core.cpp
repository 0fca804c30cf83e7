// Both headers of the same name, and errors as exceptions: prints the message of one.
#include "core/unit.h"
#include "zerorun/core/unit.h"
#include "zerorun/zerorun.h"

#include <cstdio>
#include <type_traits>

namespace torch::nn {
class Module;
}

template <typename T, typename = void>
struct IsComplete : std::false_type {};
template <typename T>
struct IsComplete<T, std::void_t<decltype(sizeof(T))>> : std::true_type {};
static_assert(!IsComplete<torch::nn::Module>::value, "the umbrella header brings torch/nn, which takes long to compile");

static_assert(std::is_base_of_v<zerorun::ParameterSource, zerorun::HfFolder>, "the umbrella header has what a run starts from");
static_assert(std::is_class_v<zerorun::SafetensorsWriter> && std::is_function_v<decltype(zerorun::hf_config_json)>);

int main() {
  try {
    zerorun::make_gpt2({.hidden_size = 10, .num_attention_heads = kOfTheUser});
  } catch (const zerorun::Error& error) {
    std::printf("%d %s\n", static_cast<int>(error.kind()), error.what());
  }
  return 0;
}
