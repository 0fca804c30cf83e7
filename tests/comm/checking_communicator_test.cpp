#include "comm/checking_communicator.h"

#include <gmock/gmock.h>

#include "comm/gather.h"
#include "comm/thread_communicator.h"
#include "core/error.h"
#include "tests/comm/disagreement.h"

namespace zerorun {
namespace {

using test::disagreement_of;

// The same calls behind a check of each, over the same ranks.
auto checked(std::function<void(Communicator&)> body) {
  return [body](Communicator& ranks) {
    const std::shared_ptr<Communicator> shared(&ranks, [](Communicator*) {});
    CheckingCommunicator communicator(shared, shared);
    body(communicator);
  };
}

// Threads compare what is called, as messages do, but not what it belongs to: without the check this one would go through.
TEST(CheckingCommunicator, NamesTheRankThatSkippedACallWhoseNextLooksTheSame) {
  const auto skips_a_block = [](Communicator& communicator) {
    for (int block = 0; block < 3; ++block) {
      communicator.tell(Activity("forward of blocks." + std::to_string(block)));
      if (communicator.rank() != 2 || block != 1) gather(communicator, block);
    }
  };
  EXPECT_EQ(disagreement_of(4, checked(skips_a_block)),
            "ranks disagree: ranks 0, 1, 3 call exchange of 4 x Byte (forward of blocks.1), rank 2 calls exchange of 4 x Byte (forward of blocks.2); all ranks "
            "must make the same calls");
}

// What must not be reached where ranks disagree.
class Unreached final : public ForwardingCommunicator {
 public:
  using ForwardingCommunicator::ForwardingCommunicator;
  Work all_gather(Span, Span) override { return fail(), Work(); }
  Work reduce_scatter(Span, Span, Span, OnBlock) override { return fail(), Work(); }
  Work all_reduce(Span, Span) override { return fail(), Work(); }

 private:
  static void fail() { ADD_FAILURE() << "a collective has started"; }
};

TEST(CheckingCommunicator, ComparesEveryCollectiveBeforeItMoves) {
  using Collect = void (*)(Communicator&, Span full, Span scratch);
  const std::pair<const char*, Collect> collectives[] = {
      {"all_gather", [](Communicator& c, Span full, Span) { c.all_gather(full.slice(c.rank(), 2), full); }},
      {"reduce_scatter", [](Communicator& c, Span full, Span scratch) { c.reduce_scatter(full, full.slice(c.rank(), 2), scratch); }},
      {"all_reduce", [](Communicator& c, Span full, Span scratch) { c.all_reduce(full, scratch); }}};
  for (const auto& [name, collect] : collectives) {
    const auto body = [&](Communicator& ranks) {
      const std::shared_ptr<Communicator> control(&ranks, [](Communicator*) {});
      CheckingCommunicator communicator(std::make_shared<Unreached>(ranks), control);
      std::vector<float> memory(64), scratch(1024);
      communicator.tell(Activity("block " + std::to_string(ranks.rank())));
      collect(communicator, {memory.data(), 8, at::kFloat}, {scratch.data(), 1024, at::kFloat});
    };
    EXPECT_THAT(disagreement_of(2, body), testing::AllOf(testing::HasSubstr(std::string("rank 0 calls ") + name), testing::HasSubstr("(block 1)")));
  }
}

}  // namespace
}  // namespace zerorun
