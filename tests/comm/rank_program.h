// What test programs that run under mpirun share: every rank runs every test, in the same order, and one of them tells how it went.
#pragma once
#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <functional>
#include <memory>

#include "comm/communicator.h"
#include "comm/mpi_session.h"

namespace zerorun::test {

// Set in main, before gtest asks for the parameters.
inline MpiSession* the_session = nullptr;

inline void end_on_timeout(const std::string& message) {
  std::fprintf(stderr, "%s\n", message.c_str());
  _exit(82);
}

// body(connect(the session)). A test that throws on one rank would leave its peers waiting: all end.
template <typename Connect>
void run_on_this_rank(Connect connect, const std::function<void(Communicator&)>& body) {
  try {
    const std::shared_ptr<Communicator> communicator = connect(*the_session);
    body(*communicator);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "rank %d: %s\n", the_session->rank(), error.what());
    the_session->abort(1);
  }
}

class QuietUnlessFailed : public testing::EmptyTestEventListener {
  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (result.failed()) std::fprintf(stderr, "rank %d: %s:%d: %s\n", the_session->rank(), result.file_name(), result.line_number(), result.message());
  }
};

// Rank 0 prints as always, the others what failed.
inline int run_all_tests(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (the_session->rank() > 0) {
    auto& listeners = testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new QuietUnlessFailed);
  }
  return RUN_ALL_TESTS();
}

}  // namespace zerorun::test
