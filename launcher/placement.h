// Where on its machine a rank computes: near its GPU.
#pragma once
#include <string>
#include <vector>

namespace zerorun {

// The numbers of the processors whose memory is nearest to the device of that PCI bus ("0000:17:00.0"); empty where the machine does not say. `topology`: of another
// machine, a file of hwloc's in XML.
std::vector<int> processors_near(const std::string& pci_bus, const std::string& topology = "");

// Of those, keeps the calling process to the ones that it may use (mpirun may have chosen already); its memory is then theirs too. Where that leaves none, all stays as it is.
// REQUIRES that the process has no other threads yet that compute.
void stay_near(const std::string& pci_bus);

}  // namespace zerorun
