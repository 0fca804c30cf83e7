#include "offload/verified_store.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/error.h"

namespace zerorun {
namespace {

uint64_t checksum_of(const std::byte* block) { return XXH3_64bits(block, kStoreAlignment); }

// Visits visit(number, block) for each block of the extents.
template <typename Visit>
void for_each_block(Extents extents, const Visit& visit) {
  for (const auto& [offset, memory] : extents) {
    for (int64_t at = 0; at < std::ssize(memory); at += kStoreAlignment) visit((offset + at) / kStoreAlignment, memory.data() + at);
  }
}

}  // namespace

VerifiedStore::VerifiedStore(std::unique_ptr<Store> inner, MemoryLedger& ledger) : inner_(std::move(inner)), ledger_(ledger) {
  const std::vector<std::byte> zeros(kStoreAlignment);
  checksums_.assign(static_cast<size_t>(inner_->bytes() / kStoreAlignment), checksum_of(zeros.data()));
  ledger_.charge(Category::host, charged());
}

VerifiedStore::~VerifiedStore() { ledger_.charge(Category::host, -charged()); }

int64_t VerifiedStore::charged() const { return std::ssize(checksums_) * static_cast<int64_t>(sizeof(uint64_t)); }

void VerifiedStore::read(Extents to) {
  inner_->read(to);
  for_each_block(to, [this](int64_t number, const std::byte* block) {
    if (checksum_of(block) == checksums_[static_cast<size_t>(number)]) return;
    fail(ErrorKind::io, "what sleeps on disk has changed: the {} bytes at {} are not those that were written there; the disk, its memory or its driver is failing",
         kStoreAlignment, number * kStoreAlignment);
  });
}

// What was written before stays known until the new bytes are there: a write that fails is told by itself.
void VerifiedStore::write(Extents from) {
  check_extents(*this, from);
  inner_->write(from);
  for_each_block(from, [this](int64_t number, const std::byte* block) { checksums_[static_cast<size_t>(number)] = checksum_of(block); });
}

}  // namespace zerorun
