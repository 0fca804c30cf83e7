#include "launcher/measurement.h"

#include "comm/gather.h"
#include "core/gpu/gpu.h"
#include "launcher/machine.h"

namespace zerorun {

void measure(std::vector<RankMemory>& memory, Communicator& communicator, const MemoryLedger& ledger) {
  struct Measured {
    MemoryUsage usage, unscoped;
    int64_t process_peak, gpu_in_use;
  };
  const auto all = gather(communicator, Measured{ledger.usage(), unscoped_usage(), process_anonymous_bytes() + shared_bytes(),
                                                 ledger.device() == Side::gpu ? gpu::bytes_in_use() : 0});
  for (size_t rank = 0; rank < all.size(); ++rank) {
    fill_measured(memory[rank], all[rank].usage, all[rank].unscoped, all[rank].process_peak, all[rank].gpu_in_use);
  }
}

}  // namespace zerorun
