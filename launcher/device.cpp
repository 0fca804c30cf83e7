#include "launcher/device.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <set>
#include <string_view>

#include "comm/gather.h"
#include "comm/nccl_communicator.h"
#include "comm/staged_communicator.h"
#include "core/error.h"
#include "core/memory.h"
#include "launcher/build.h"
#include "launcher/machine.h"
#include "launcher/placement.h"

namespace zerorun {
namespace {

template <size_t N>
void copy_text(const std::string& text, char (&to)[N]) {
  text.copy(to, N - 1);
}

// Keeps what it stands on.
template <typename Backend, typename... Below>
std::shared_ptr<Communicator> keep(std::unique_ptr<Backend> backend, Below... below) {
  return {backend.release(), [below...](Backend* ends) { delete ends; }};
}

// Nobody waits on the host for a collective between GPUs: what goes wrong is told here, and ends the job.
NcclOptions nccl_options(const Settings& settings, MpiSession& session, const std::shared_ptr<LastWords>& words) {
  return {.timeout_seconds = static_cast<double>(settings.comm.timeout_seconds),
          .strict = settings.run.determinism == Settings::Determinism::strict,
          .allow_shared_gpu = settings.comm.allow_shared_gpu,
          .on_failure = [&session, words](const std::exception_ptr& failure) { abort_all(session, describe(words->or_else(failure))); }};
}

std::shared_ptr<Communicator> connect_gpus(const Settings& settings, MpiSession& session, const std::shared_ptr<Communicator>& ranks, bool shared, RankDevice& chosen) {
  const auto backend = settings.comm.backend;
  if (session.size() == 1 || backend == Settings::Backend::nccl || (backend == Settings::Backend::automatic && !shared)) {
    auto nccl = std::make_unique<NcclCommunicator>(*ranks, nccl_options(settings, session, chosen.last_words));
    chosen.shape.slab_bytes = nccl->slab_bytes();
    MemoryLedger beside(Side::gpu);
    const MemoryScope scope(beside, Category::communication);
    nccl->use_once();
    return keep(std::move(nccl), ranks);
  }
  chosen.notes.push_back(fmt::format("what ranks exchange goes through host memory, since {}", shared ? "they share a GPU" : "comm.backend is mpi"));
  const auto beside = std::make_shared<MemoryLedger>();  // the stage is the program's, and no run's
  const MemoryScope scope(*beside, Category::host);
  const auto on_device = [device = chosen.device](int64_t bytes) { return at::empty({bytes}, at::TensorOptions().dtype(at::kByte).device(device)); };
  return keep(std::make_unique<StagedCommunicator>(*ranks, gpu_copies(), on_device), ranks, beside);
}

}  // namespace

Baseline RankDevice::baseline() const { return {process_anonymous_bytes(), gpu ? std::optional(gpu_baseline) : std::nullopt}; }

DevicesAtHand devices_at_hand() {
  auto gpus = gpu::visible();
  return gpus.empty() ? DevicesAtHand{{}, gpu::absence()} : DevicesAtHand{std::move(gpus), ""};
}

std::optional<gpu::Info> choose_gpu(const Settings& settings, const DevicesAtHand& at_hand, int local_rank) {
  const auto [device, backend] = std::pair(settings.run.device, settings.comm.backend);
  const bool must = device == Settings::Device::cuda, may = device != Settings::Device::cpu;
  if (may && !at_hand.gpus.empty()) return at_hand.gpus[static_cast<size_t>(local_rank) % at_hand.gpus.size()];
  if (must) fail(ErrorKind::configuration, "run.device is cuda, but {}; set it to cpu, or to auto, which takes what there is", at_hand.absence);
  if (backend == Settings::Backend::nccl) {
    fail(ErrorKind::configuration, "comm.backend is nccl, which connects GPUs, but {}; set it to auto, or to mpi",
         may ? at_hand.absence : "run.device is cpu");
  }
  return std::nullopt;
}

DeviceOfRank describe(const std::optional<gpu::Info>& gpu, const DevicesAtHand& at_hand, const std::string& host) {
  DeviceOfRank text;
  copy_text(host, text.host);
  copy_text(gpu ? gpu->name : "", text.name);
  copy_text(gpu ? gpu->uuid : "", text.uuid);
  copy_text(gpu ? "" : at_hand.absence, text.absence);
  return text;
}

std::vector<std::string> check_devices(const Settings& settings, const std::vector<DeviceOfRank>& all) {
  const auto has_gpu = [](const DeviceOfRank& rank) { return rank.name[0] != '\0'; };
  const auto with = std::ranges::find_if(all, has_gpu), without = std::ranges::find_if_not(all, has_gpu);
  if (with == all.end()) return {};
  if (without != all.end()) {
    fail(ErrorKind::configuration, "rank {} has a GPU ({}), but rank {} on {} has none: {}; set run.device to cpu, or start ranks where GPUs are", with - all.begin(),
         with->name, without - all.begin(), without->host, without->absence);
  }
  std::set<std::string> names;
  for (size_t a = 0; a < all.size(); ++a) {
    names.insert(all[a].name);
    for (size_t b = 0; b < a && !settings.comm.allow_shared_gpu; ++b) {
      if (std::string_view(all[a].uuid) != all[b].uuid) continue;
      fail(ErrorKind::configuration,
           "ranks {} and {} on {} share one GPU ({}, {}): start as many ranks as there are GPUs, let CUDA_VISIBLE_DEVICES show each rank its own, or, for a test, set "
           "comm.allow_shared_gpu",
           b, a, all[a].host, all[a].name, all[a].uuid);
    }
  }
  if (names.size() == 1) return {};
  return {fmt::format("GPUs of different kinds work together ({}): the slowest sets the pace, and each rank holds as much", fmt::join(names, ", "))};
}

int ranks_on_gpu(const std::vector<DeviceOfRank>& all, int rank) {
  const std::string_view uuid = all[static_cast<size_t>(rank)].uuid;
  return static_cast<int>(std::ranges::count_if(all, [&](const DeviceOfRank& other) { return uuid == other.uuid; }));
}

bool shares_gpus(const std::vector<DeviceOfRank>& all) {
  std::set<std::string> seen;
  return std::ranges::any_of(all, [&](const DeviceOfRank& rank) { return rank.uuid[0] != '\0' && !seen.insert(rank.uuid).second; });
}

RunShape shape_of(const MpiSession& session, const RankDevice& device) {
  const int hosts = (session.size() + session.local_size() - 1) / session.local_size();
  return {session.size(), device.threads, hosts, device.communicator->readers(), device.side(), device.shape};
}

RankDevice start_device(const Settings& settings, MpiSession& session, const std::shared_ptr<Communicator>& ranks) {
  const bool asks = settings.run.device != Settings::Device::cpu;  // CUDA, which takes its time
  const auto at_hand = asks ? devices_at_hand() : DevicesAtHand{};
  RankDevice chosen;
  chosen.gpu = choose_gpu(settings, at_hand, session.local_rank());
  const auto all = gather(*ranks, describe(chosen.gpu, at_hand, session.host()));
  chosen.notes = check_devices(settings, all);
  chosen.communicator = ranks;
  chosen.threads = threads_of(settings, session.local_size());
  if (!chosen.gpu) return chosen;
  stay_near(chosen.gpu->pci_bus);
  if (!settings.run.threads) chosen.threads = std::min(chosen.threads, usable_cores());
  const bool shares = shares_gpus(all);
  const gpu::StartOptions options{.index = chosen.gpu->index, .deterministic = settings.run.determinism == Settings::Determinism::strict, .tf32 = settings.precision.tf32};
  gpu::Started started;
  for (int turn = 0; turn < (shares ? session.size() : 1); ++turn) {  // where some share a GPU one after the other: each sees what it takes
    if (!shares || turn == session.rank()) started = gpu::start(options);
    if (shares) gather(*ranks, 0);
  }
  chosen.shape.multiprocessors = chosen.gpu->multiprocessors;
  chosen.shape.deterministic = settings.run.determinism == Settings::Determinism::strict;
  chosen.device = at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(chosen.gpu->index));
  chosen.communicator = connect_gpus(settings, session, ranks, shares, chosen);
  gather(*ranks, 0);  // all have taken what they do
  const int sharing = ranks_on_gpu(all, session.rank());
  const int64_t later = gpu::bytes_in_use() - started.context - started.workspace;  // NCCL's, or what others took who share the GPU
  chosen.gpu_baseline = {started.context + (sharing > 1 ? later : 0), started.workspace, sharing > 1 ? 0 : later, sharing};
  gather(*ranks, 0);  // and take no more before all have looked
  return chosen;
}

}  // namespace zerorun
