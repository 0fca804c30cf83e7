// The main of every test program: the counting allocators must be in place before LibTorch allocates.
#include <gtest/gtest.h>

#include "core/memory.h"

int main(int argc, char** argv) {
  zerorun::install_counting_allocators();
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
