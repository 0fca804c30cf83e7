// A torch::nn::Module as a unit of a model. Apart from zerorun.h: who calls it has torch/nn headers, which take long to compile.
#pragma once

#include "core/module_unit.h"
