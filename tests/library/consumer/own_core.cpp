// Both headers of the same name, and errors as exceptions: prints the message of one.
#include "core/unit.h"
#include "zerorun/core/unit.h"
#include "zerorun/zerorun.h"

#include <cstdio>

int main() {
  try {
    zerorun::make_gpt2({.hidden_size = 10, .num_attention_heads = kOfTheUser});
  } catch (const zerorun::Error& error) {
    std::printf("%d %s\n", static_cast<int>(error.kind()), error.what());
  }
  return 0;
}
