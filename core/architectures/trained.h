// The architectures that zerorun trains, from the declarations that it trains with.
#pragma once
#include <string>

#include "core/architectures/architecture.h"
#include "core/weights/hf_config.h"

namespace zerorun {

// Throws as make_model, and Error(configuration) where there are more than kMostParameters.
Architecture make_trained(const ModelConfig& config, std::string name);

}  // namespace zerorun
