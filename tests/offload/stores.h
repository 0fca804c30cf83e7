// The stores under test, by name, and memory that fits them.
#pragma once
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "offload/disk_store.h"
#include "offload/host_store.h"

namespace zerorun::test {

struct AlignedMemory {
  explicit AlignedMemory(int64_t size)
      : bytes(static_cast<std::byte*>(std::aligned_alloc(kStoreAlignment, static_cast<size_t>(size))), static_cast<size_t>(size)) {}
  ~AlignedMemory() { std::free(bytes.data()); }
  AlignedMemory(const AlignedMemory&) = delete;
  AlignedMemory& operator=(const AlignedMemory&) = delete;

  // Another pattern for every seed.
  void fill(uint64_t seed) {
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>((i * 2654435761u + seed * 40503u) >> 7);
  }

  std::span<std::byte> bytes;
};

// Not the folder of temporary files, which may be memory.
inline std::string disk_folder() { return std::filesystem::current_path().string(); }

struct StoreUnderTest {
  std::string name;
  std::function<std::unique_ptr<Store>(int64_t bytes, MemoryLedger& ledger)> make;
  int64_t beside_a_unit = 0;  // bytes held for each kStoreAlignment
};

inline void PrintTo(const StoreUnderTest& store, std::ostream* out) { *out << store.name; }

}  // namespace zerorun::test
