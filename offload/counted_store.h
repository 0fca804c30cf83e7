// Stands for a store where nothing is computed: it charges what the store would, and there is nothing in it.
#pragma once
#include "core/error.h"
#include "core/memory.h"
#include "offload/store.h"

namespace zerorun {

class CountedStore final : public Store {
 public:
  CountedStore(int64_t bytes, MemoryLedger& ledger, Category category) : ledger_(ledger), category_(category), bytes_(in_store_units(bytes)) {
    ledger_.charge(category_, bytes_);
  }
  ~CountedStore() override { ledger_.charge(category_, -bytes_); }
  CountedStore(const CountedStore&) = delete;
  CountedStore& operator=(const CountedStore&) = delete;

  int64_t bytes() const override { return bytes_; }
  bool is_memory() const override { return category_ == Category::host; }
  std::byte* data() override { return nullptr; }
  void read(Extents) override { fail(ErrorKind::bug, "a store that only counts is read"); }
  void write(Extents) override { fail(ErrorKind::bug, "a store that only counts is written to"); }

 private:
  MemoryLedger& ledger_;
  const Category category_;
  const int64_t bytes_;
};

}  // namespace zerorun
