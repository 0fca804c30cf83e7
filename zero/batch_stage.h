// How batches come to the device. On a CPU they are there.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "core/data/batches.h"
#include "core/memory.h"
#include "core/unit.h"
#include "offload/store.h"

namespace zerorun {

// What a batch is charged to that its source makes: with a GPU it lies beside.
inline Category batch_category(const MemoryLedger& ledger) { return ledger.device() == Side::gpu ? Category::host : Category::activations; }

// To a GPU a batch goes through pinned memory of its own, 24 bytes a token (16 without the order), so that nobody waits for its copy.
class BatchStage {
 public:
  // `device`: of the engine; the ledger knows which one the meta device stands for. REQUIRES that the ledger outlives this.
  BatchStage(at::Device device, MemoryLedger& ledger) : device_(device), ledger_(ledger) {}

  // What was placed is done with: its memory serves the next.
  void restart() { next_ = 0; }
  // Fills in tokens, targets (where there are any) and, where `ordered`, their order. Tensors of the device are charged to activations.
  void place(const at::Tensor& tokens, const at::Tensor& targets, bool ordered, StepContext& context);

 private:
  at::Tensor upload(const at::Tensor& like, std::byte*& memory) const;
  Store& store_for(int64_t bytes);

  const at::Device device_;
  MemoryLedger& ledger_;
  std::vector<std::unique_ptr<Store>> stores_;  // one for each batch between two restarts
  size_t next_ = 0;
};

}  // namespace zerorun
