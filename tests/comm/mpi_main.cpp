// Runs the contract suite on ranks that are processes.
#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "comm/connect.h"
#include "comm/counting_communicator.h"
#include "comm/gather.h"
#include "comm/mpi_communicator.h"
#include "core/memory.h"
#include "tests/comm/contract_suite.h"
#include "tests/comm/rank_program.h"
#include "tests/comm/sent_bytes.h"

namespace zerorun::test {
namespace {

std::vector<Backend> backends() {
  const Backend messages{"messages", the_session->size(), [](const auto& body) {
                           run_on_this_rank([](auto& session) { return std::make_shared<MpiCommunicator>(session); }, body);
                         }};
  const Backend host{"host", the_session->size(), [](const auto& body) {
                       run_on_this_rank([](auto& session) { return connect(session); }, body);
                     }};
  std::vector<Backend> all{messages, counted(messages), host, registered(host)};
  for (int hosts = 2; hosts <= the_session->size(); ++hosts) {
    if (the_session->size() % hosts != 0) continue;
    const auto connected = [hosts](auto& session) { return connect(session, {.pretend_hosts = hosts}); };
    const Backend strict{"hosts_" + std::to_string(hosts), the_session->size(), [=](const auto& body) { run_on_this_rank(connected, body); }};
    const auto checked = [hosts](auto& session) { return connect(session, {.pretend_hosts = hosts, .check_every_collective = true}); };
    const Backend checks{"checked_hosts_" + std::to_string(hosts), the_session->size(), [=](const auto& body) { run_on_this_rank(checked, body); }};
    all.insert(all.end(), {strict, registered(strict), checks});
  }
  if (the_session->size() > 1) {  // one rank each: the order of hosts is that of ranks
    const auto connected = [](auto& session) { return connect(session, {.pretend_hosts = session.size(), .strict = false}); };
    all.push_back({"fast_host_each", the_session->size(), [=](const auto& body) { run_on_this_rank(connected, body); }});
  }
  return all;
}


INSTANTIATE_TEST_SUITE_P(Backends, CollectivesContract, testing::ValuesIn(backends()), name_of_instance);
INSTANTIATE_TEST_SUITE_P(Backends, CommunicatorContract, testing::ValuesIn(backends()), name_of_instance);

TEST(Connect, RanksOfOneHostShareMemory) {
  std::string note;
  EXPECT_EQ(connect(*the_session, {}, &note)->readers(), Readers::all);
  EXPECT_EQ(note, "");
}

// What is counted is what travels, where every rank is a host of its own.
TEST(Hierarchical, BytesBetweenHostsAreThoseOfTheFormulas) {
  const int n = the_session->size();
  if (n == 1) return;
  for (const bool strict : {true, false}) {
    const auto connected = [&](auto& session) { return connect(session, {.pretend_hosts = n, .strict = strict}); };
    run_on_this_rank(connected, [&](Communicator& inner) {
      CountingCommunicator communicator(inner);
      const int64_t count = 100'000;
      const at::Tensor memory = communicator.allocate(count * n * 4), slice = communicator.allocate(count * 4);
      const at::Tensor scratch = communicator.allocate(communicator.reduce_scratch_bytes(count, at::kFloat));
      const Span full{memory.data_ptr(), count * n, at::kFloat}, own{slice.data_ptr(), count, at::kFloat};
      const Span space{scratch.data_ptr(), scratch.numel(), at::kByte};
      std::fill_n(static_cast<float*>(full.data), full.count, 1.0f);
      gather(inner, 0);
      const int64_t before = sent_bytes;
      communicator.reduce_scatter(full, own, space, {}).wait();
      communicator.all_gather(own, full).wait();
      communicator.all_reduce(full, space).wait();
      const auto traffic = communicator.traffic();
      EXPECT_EQ(sent_bytes - before, traffic.reduce_scatter.bytes_sent + traffic.all_gather.bytes_sent + traffic.all_reduce.bytes_sent);
      EXPECT_EQ(sent_bytes - before, 4 * (n - 1) * count * 4);
      gather(inner, 0);
    });
  }
}

// Summed inside first, a part of each host travels: half of the bytes with two ranks on a host, and another order of the sum.
TEST(Hierarchical, FastSumsInsideAHostFirst) {
  const int n = the_session->size();
  if (n != 4) return;
  const auto sum = [&](bool strict, std::vector<float>& result) {
    int64_t bytes = 0;
    const auto connected = [&](auto& session) { return connect(session, {.pretend_hosts = 2, .strict = strict}); };
    run_on_this_rank(connected, [&](Communicator& communicator) {
      const int64_t count = 5'000;
      const at::Tensor memory = communicator.allocate(count * n * 4), scratch = communicator.allocate(communicator.reduce_scratch_bytes(count, at::kFloat));
      const Span full{memory.data_ptr(), count * n, at::kFloat};
      auto* values = static_cast<float*>(full.data);
      for (int64_t i = 0; i < full.count; ++i) values[i] = 1.0f / static_cast<float>(3 + (i + 7 * communicator.rank()) % 101);
      gather(communicator, 0);
      const int64_t before = sent_bytes;
      const Span own = full.slice(communicator.rank(), n);
      communicator.reduce_scatter(full, own, {scratch.data_ptr(), scratch.numel(), at::kByte}, {}).wait();
      bytes = sent_bytes - before;
      result.assign(static_cast<float*>(own.data), static_cast<float*>(own.data) + own.count);
      gather(communicator, 0);
    });
    return bytes;
  };
  std::vector<float> exact, fast;
  const int64_t all_parts = sum(true, exact), host_parts = sum(false, fast);
  EXPECT_EQ(all_parts, 3 * host_parts);  // one other host, three other ranks
  int different = 0;
  for (size_t i = 0; i < exact.size(); ++i) {
    EXPECT_NEAR(fast[i], exact[i], 2e-7 * exact[i]);
    different += fast[i] != exact[i];
  }
  EXPECT_GT(different, 0);
}

TEST(MpiSession, KnowsTheRanksOfThisHost) {
  EXPECT_EQ(the_session->local_size(), the_session->size());
  EXPECT_EQ(the_session->local_rank(), the_session->rank());
  EXPECT_FALSE(the_session->host().empty());
}

TEST(Communicators, TwoOfThemDoNotMixTheirCollectives) {
  const auto connected = [](auto& session) { return connect(session); };
  const auto by_messages = [](auto& session) { return std::make_shared<MpiCommunicator>(session); };
  run_on_this_rank(connected, [&](Communicator& first) {
    run_on_this_rank(by_messages, [&](Communicator& second) {
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
  run_on_this_rank(connected, [](Communicator& communicator) {
    const auto speaks = gather(communicator, static_cast<int>(the_session->claim_to_speak()));
    EXPECT_EQ(std::accumulate(speaks.begin(), speaks.end(), 0), 1);
    EXPECT_FALSE(the_session->claim_to_speak() && communicator.size() > 1);
  });
}

int run(int argc, char** argv) {
  install_counting_allocators();
  MpiSession session(60, end_on_timeout);
  the_session = &session;
  return run_all_tests(argc, argv);
}

}  // namespace
}  // namespace zerorun::test

int main(int argc, char** argv) { return zerorun::test::run(argc, argv); }
