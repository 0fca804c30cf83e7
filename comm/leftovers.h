// What OpenMPI jobs leave on a host when mpirun is killed: their folders. The next start removes them.
#pragma once
#include <string>

namespace zerorun {

// Removes those of `sessions`, OpenMPI's folder of this user ("/tmp/ompi.<host>.<uid>"), that are named pid.<n> of processes that are gone.
// What cannot be removed stays, silently. Milliseconds, and nothing where nothing was left.
void remove_leftovers(const std::string& sessions) noexcept;

}  // namespace zerorun
