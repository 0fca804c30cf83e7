#include "launcher/placement.h"

#include <hwloc.h>
#include <sched.h>

#include <memory>

#include "core/error.h"

namespace zerorun {
namespace {

struct Destroy {
  void operator()(hwloc_topology* topology) const { hwloc_topology_destroy(topology); }
};
using Topology = std::unique_ptr<hwloc_topology, Destroy>;

Topology load(const std::string& file) {
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0) fail(ErrorKind::io, "the machine's topology cannot be read: {}", system_message(errno));
  Topology topology(raw);
  if (!file.empty() && hwloc_topology_set_xml(raw, file.c_str()) != 0) fail(ErrorKind::missing_input, "no topology can be read from {}", file);
  hwloc_topology_set_io_types_filter(raw, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
  if (hwloc_topology_load(raw) != 0) fail(ErrorKind::io, "the machine's topology cannot be read: {}", system_message(errno));
  return topology;
}

}  // namespace

std::vector<int> processors_near(const std::string& pci_bus, const std::string& file) {
  const auto topology = load(file);
  const auto* const device = hwloc_get_pcidev_by_busidstring(topology.get(), pci_bus.c_str());
  if (!device) return {};
  const auto* const home = hwloc_get_non_io_ancestor_obj(topology.get(), const_cast<hwloc_obj_t>(device));
  std::vector<int> processors;
  for (int p = hwloc_bitmap_first(home->cpuset); p >= 0; p = hwloc_bitmap_next(home->cpuset, p)) processors.push_back(p);
  return processors;
}

// Memory follows by itself: a page lies near the processor that touches it first.
void stay_near(const std::string& pci_bus) {
  cpu_set_t allowed, near;
  CPU_ZERO(&near);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  for (const int processor : processors_near(pci_bus)) {
    if (processor < CPU_SETSIZE && CPU_ISSET(processor, &allowed)) CPU_SET(processor, &near);
  }
  if (CPU_COUNT(&near) > 0) static_cast<void>(sched_setaffinity(0, sizeof near, &near));
}

}  // namespace zerorun
