// Runs something that must throw an Error, and gives its kind and message.
#pragma once
#include <gtest/gtest.h>

#include <string>

#include "core/error.h"

namespace zerorun {

template <typename Function>
std::string message_of(ErrorKind expected, Function&& function) {
  try {
    function();
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.kind()), static_cast<int>(expected)) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error was thrown";
  return "";
}

}  // namespace zerorun
