// A device that is played by plain memory: its copies are late, so that who does not finish() them reads what was there before.
#pragma once
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "comm/buffers.h"
#include "comm/staged_communicator.h"
#include "tests/comm/contract_suite.h"

namespace zerorun::test {

class LateCopies final : public DeviceCopy {
 public:
  void copy(const void* from, void* to, int64_t bytes) override {
    copies_.push_back([=] { std::memmove(to, from, static_cast<size_t>(bytes)); });
  }
  void finish() override {
    for (const auto& copy : copies_) copy();
    copies_.clear();
  }

 private:
  std::vector<std::function<void()>> copies_;
};

inline std::shared_ptr<const DeviceMemory> played_device() {
  const auto move = [](const void* from, void* to, int64_t bytes) { std::memcpy(to, from, static_cast<size_t>(bytes)); };
  const auto allocate = [](int64_t bytes) { return std::shared_ptr<void>(::operator new(static_cast<size_t>(bytes)), [](void* data) { ::operator delete(data); }); };
  return std::make_shared<DeviceMemory>(DeviceMemory{allocate, move, move});
}

}  // namespace zerorun::test
