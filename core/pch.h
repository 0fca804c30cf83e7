// The one precompiled header: LibTorch costs 20-35 s a file without it.
#pragma once
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
