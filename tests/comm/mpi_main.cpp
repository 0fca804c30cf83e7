// Runs the contract suite on ranks that are processes: every rank runs every test, in the same order.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <numeric>

#include "comm/connect.h"
#include "comm/gather.h"
#include "comm/mpi_communicator.h"
#include "comm/mpi_session.h"
#include "core/memory.h"
#include "tests/comm/contract_suite.h"

namespace zerorun::test {
namespace {

// A test that throws on one rank would leave its peers waiting: all end.
template <typename Connect>
void run_on_this_rank(MpiSession& session, Connect connect, const std::function<void(Communicator&)>& body) {
  try {
    const std::shared_ptr<Communicator> communicator = connect(session);
    body(*communicator);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "rank %d: %s\n", session.rank(), error.what());
    session.abort(1);
  }
}

// Set in main, before gtest asks for the parameters.
MpiSession* the_session = nullptr;

std::vector<Backend> backends() {
  const Backend messages{"messages", the_session->size(), [](const auto& body) {
                           run_on_this_rank(*the_session, [](auto& session) { return std::make_shared<MpiCommunicator>(session); }, body);
                         }};
  const Backend host{"host", the_session->size(), [](const auto& body) {
                       run_on_this_rank(*the_session, [](auto& session) { return connect(session); }, body);
                     }};
  return {messages, counted(messages), host, registered(host)};
}

INSTANTIATE_TEST_SUITE_P(Backends, CollectivesContract, testing::ValuesIn(backends()), name_of_instance);
INSTANTIATE_TEST_SUITE_P(Backends, CommunicatorContract, testing::ValuesIn(backends()), name_of_instance);

TEST(Connect, RanksOfOneHostShareMemory) {
  std::string note;
  EXPECT_EQ(connect(*the_session, {}, &note)->readers(), Readers::all);
  EXPECT_EQ(note, "");
}

TEST(MpiSession, KnowsTheRanksOfThisHost) {
  EXPECT_EQ(the_session->local_size(), the_session->size());
  EXPECT_EQ(the_session->local_rank(), the_session->rank());
  EXPECT_FALSE(the_session->host().empty());
}

TEST(Communicators, TwoOfThemDoNotMixTheirCollectives) {
  const auto connected = [](auto& session) { return connect(session); };
  const auto by_messages = [](auto& session) { return std::make_shared<MpiCommunicator>(session); };
  run_on_this_rank(*the_session, connected, [&](Communicator& first) {
    run_on_this_rank(*the_session, by_messages, [&](Communicator& second) {
      const int n = first.size();
      std::vector<int> mine = {first.rank(), 100 + first.rank()}, ones(n), hundreds(n);
      Work one = first.all_gather({&mine[0], 1, at::kInt}, {ones.data(), n, at::kInt});
      Work hundred = second.all_gather({&mine[1], 1, at::kInt}, {hundreds.data(), n, at::kInt});
      hundred.wait();
      one.wait();
      EXPECT_EQ(ones[n - 1], n - 1);
      EXPECT_EQ(hundreds[n - 1], 100 + n - 1);
    });
  });
}

// Once in a job's life: the claim outlives the question.
TEST(MpiSession, OneRankOfAHostSpeaksForTheJob) {
  const auto connected = [](auto& session) { return connect(session); };
  run_on_this_rank(*the_session, connected, [](Communicator& communicator) {
    const auto speaks = gather(communicator, static_cast<int>(the_session->claim_to_speak()));
    EXPECT_EQ(std::accumulate(speaks.begin(), speaks.end(), 0), 1);
    EXPECT_FALSE(the_session->claim_to_speak() && communicator.size() > 1);
  });
}

class QuietUnlessFailed : public testing::EmptyTestEventListener {
  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (result.failed()) {
      std::fprintf(stderr, "rank %d: %s:%d: %s\n", the_session->rank(), result.file_name(), result.line_number(),
                   result.message());
    }
  }
};

int run(int argc, char** argv) {
  install_counting_allocators();
  MpiSession session(60, [](const std::string& message) {
    std::fprintf(stderr, "%s\n", message.c_str());
    _exit(82);
  });
  the_session = &session;
  testing::InitGoogleTest(&argc, argv);
  if (session.rank() > 0) {
    auto& listeners = testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new QuietUnlessFailed);
  }
  return RUN_ALL_TESTS();
}

}  // namespace
}  // namespace zerorun::test

int main(int argc, char** argv) { return zerorun::test::run(argc, argv); }
