// The device that a rank computes on.
#pragma once
#include <c10/core/Device.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "comm/mpi_session.h"
#include "core/gpu/gpu.h"
#include "launcher/failure.h"
#include "launcher/prediction.h"
#include "launcher/settings.h"

namespace zerorun {

struct RankDevice {
  at::Device device = at::kCPU;
  std::optional<gpu::Info> gpu;                 // none: the processor
  std::shared_ptr<Communicator> communicator;  // of spans on the device
  std::vector<std::string> notes;              // for the user to see
  GpuBaseline gpu_baseline;
  gpu::Shape shape;
  std::shared_ptr<LastWords> last_words = std::make_shared<LastWords>();
  int threads = 1;  // of run.threads, or of the processors that are near to what the ranks of this host compute on

  Baseline baseline() const;  // now
  Side side() const { return gpu ? Side::gpu : Side::host; }
  std::string name() const { return gpu ? gpu->name : "cpu"; }
};

// What a rank finds on its machine.
struct DevicesAtHand {
  std::vector<gpu::Info> gpus;
  std::string absence;  // why there is none
};
DevicesAtHand devices_at_hand();

// By run.device and comm.backend, rank `local_rank` of its host: the GPU of that number among those that it may use, or none. Throws Error(configuration) where what is asked
// for is not there.
std::optional<gpu::Info> choose_gpu(const Settings& settings, const DevicesAtHand& at_hand, int local_rank);

// What ranks tell each other of their devices; fixed in size.
struct DeviceOfRank {
  char host[64] = {};
  char name[64] = {};  // empty: the processor
  char uuid[64] = {};
  char absence[128] = {};
};
DeviceOfRank describe(const std::optional<gpu::Info>& gpu, const DevicesAtHand& at_hand, const std::string& host);
// Throws Error(configuration) where some ranks have a GPU and others none, or, unless comm.allow_shared_gpu, where two share one. Notes where GPUs are of different kinds.
std::vector<std::string> check_devices(const Settings& settings, const std::vector<DeviceOfRank>& all);
bool shares_gpus(const std::vector<DeviceOfRank>& all);
int ranks_on_gpu(const std::vector<DeviceOfRank>& all, int rank);  // that compute on the GPU of `rank`

// The run of such ranks, for what it will take.
RunShape shape_of(const MpiSession& session, const RankDevice& device);

// The device of this rank, started, and its communicator: on a CPU `ranks` itself; on GPUs NCCL, or through host memory where ranks share a GPU or comm.backend is mpi.
// Collective. REQUIRES that the session outlives it, and that nothing has used a GPU before.
RankDevice start_device(const Settings& settings, MpiSession& session, const std::shared_ptr<Communicator>& ranks);

}  // namespace zerorun
