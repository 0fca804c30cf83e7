// What ranks that disagree are told.
#pragma once
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "comm/thread_communicator.h"
#include "core/error.h"

namespace zerorun::test {

// The message of the Error(disagreement) that `body` ends with on ranks that are threads; "no error" where there is none.
inline std::string disagreement_of(int size, const std::function<void(Communicator&)>& body) {
  try {
    run_ranks(size, body);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::disagreement);
    return error.what();
  }
  return "no error";
}

}  // namespace zerorun::test
