#include "comm/job_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace zerorun {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::string name_of_rank(const std::string& rank) { return fmt::format("zerorun-rank-{}-{}", variable("PMIX_NAMESPACE"), rank); }

}  // namespace

JobFolder::JobFolder() : folder_(open(variable("PMIX_SERVER_TMPDIR").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {}

JobFolder::~JobFolder() {
  if (folder_ >= 0) close(folder_);
}

// False where it is there already, or the folder is not any more.
bool JobFolder::create(const std::string& name) const {
  const int file = openat(folder_, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file >= 0) close(file);
  return file >= 0 || (errno != EEXIST && errno != ENOENT);
}

void JobFolder::sign_in() const {
  if (folder_ >= 0) create(name_of_rank(variable("OMPI_COMM_WORLD_RANK")));
}

std::vector<int> JobFolder::absent() const {
  const std::string size = variable("OMPI_COMM_WORLD_SIZE");
  std::vector<int> ranks;
  if (folder_ < 0 || size.empty() || variable("OMPI_COMM_WORLD_LOCAL_SIZE") != size) return ranks;
  for (int rank = 0; rank < std::atoi(size.c_str()); ++rank) {
    if (faccessat(folder_, name_of_rank(std::to_string(rank)).c_str(), F_OK, 0) != 0) ranks.push_back(rank);
  }
  return ranks;
}

// A claim outlives the rank that made it. Where the folder has been removed, the job is over and has been spoken for.
bool JobFolder::claim_to_speak() const { return folder_ < 0 || create("zerorun-spoke-" + variable("PMIX_NAMESPACE")); }

}  // namespace zerorun
