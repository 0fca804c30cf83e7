// `zerorun estimate`: memory and traffic of a model, trained or not by zerorun, before there is a configuration.
#pragma once
#include <iosfwd>

#include "launcher/estimate/estimate_report.h"

namespace zerorun {

// Throws Error(usage) for an unknown name, with the nearest; what read_architecture throws.
Estimate make_estimate(const EstimateOptions& options);

void print_estimate(const EstimateOptions& options, std::ostream& out);

}  // namespace zerorun
