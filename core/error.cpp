#include "core/error.h"

#include <system_error>

namespace zerorun {

std::string system_message(int error_number) { return std::generic_category().message(error_number); }

}  // namespace zerorun
