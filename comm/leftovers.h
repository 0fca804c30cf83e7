// What OpenMPI jobs leave on a host when mpirun is killed: files of shared memory, and folders. The next start removes them.
#pragma once
#include <string>

namespace zerorun {

struct LeftoverFolders {
  std::string shared_memory;  // "/dev/shm"
  std::string sessions;       // of this user: "/tmp/ompi.<host>.<uid>"
};

// Removes files of this user named vader_segment.* that no process holds open or maps, and folders pid.<n> of processes that are gone.
// Files of the job `own_job` stay: its ranks are just making them. What cannot be removed stays, silently. Milliseconds, and nothing
// where nothing was left.
void remove_leftovers(const LeftoverFolders& folders, const std::string& own_job) noexcept;

}  // namespace zerorun
