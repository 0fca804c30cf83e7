// The folder that mpirun keeps for a job on each host, where its ranks leave word of each other: they can before MPI has started and after it
// has failed. It goes with the job. Without mpirun there is none, and nobody to leave word for.
#pragma once
#include <string>
#include <vector>

namespace zerorun {

class JobFolder {
 public:
  JobFolder();
  ~JobFolder();
  JobFolder(const JobFolder&) = delete;
  JobFolder& operator=(const JobFolder&) = delete;

  // This rank has come to MPI.
  void sign_in() const;
  // The ranks that have not. Empty also where the job has other hosts, whose folders are not seen from here.
  std::vector<int> absent() const;

  // True for the first rank of this host that asks, in the life of the job. True for all where there is no folder.
  bool claim_to_speak() const;

 private:
  bool create(const std::string& name) const;

  int folder_ = -1;
};

}  // namespace zerorun
