#include "offload/verified_store.h"

#include <gmock/gmock.h>

#include "core/error.h"
#include "tests/offload/stores.h"

namespace zerorun::test {
namespace {

// Memory that loses a bit of what it was given.
class LosesABit final : public Store {
 public:
  LosesABit(int64_t bytes, MemoryLedger& ledger) : inner_(bytes, ledger) {}
  int64_t bytes() const override { return inner_.bytes(); }
  bool is_memory() const override { return false; }
  std::byte* data() override { return inner_.data(); }
  void read(Extents to) override { inner_.read(to); }
  void write(Extents from) override { inner_.write(from); }

 private:
  HostStore inner_;
};

class Verified : public testing::Test {
 protected:
  std::string complaint() {
    try {
      store_.read({0, out_.bytes});
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::io);
      return error.what();
    }
    return "";
  }

  MemoryLedger ledger_;
  LosesABit* disk_ = new LosesABit(8 * kStoreAlignment, ledger_);
  VerifiedStore store_{std::unique_ptr<Store>(disk_), ledger_};
  AlignedMemory in_{8 * kStoreAlignment}, out_{8 * kStoreAlignment};
};

TEST_F(Verified, ABitThatChangesIsSeenWithItsPlace) {
  in_.fill(3);
  store_.write({0, in_.bytes});
  EXPECT_EQ(complaint(), "");
  disk_->data()[5 * kStoreAlignment + 77] ^= std::byte{16};
  EXPECT_THAT(complaint(), testing::HasSubstr("the 4096 bytes at 20480 are not those that were written there"));
  store_.write({5 * kStoreAlignment, in_.bytes.subspan(5 * kStoreAlignment, kStoreAlignment)});
  EXPECT_EQ(complaint(), "") << "written again";
}

TEST_F(Verified, ABitOfWhatWasNeverWrittenIsSeenToo) {
  disk_->data()[0] = std::byte{1};
  EXPECT_THAT(complaint(), testing::HasSubstr("bytes at 0 are not"));
}

}  // namespace
}  // namespace zerorun::test
