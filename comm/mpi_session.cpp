#include "comm/mpi_session.h"

#include <fmt/format.h>
#include <linux/magic.h>
#include <mpi.h>
#include <pmix.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <string_view>

#include "comm/job_folder.h"
#include "comm/leftovers.h"
#include "comm/rank_words.h"
#include "comm/watchdog.h"
#include "core/error.h"
#include "core/host_name.h"

namespace zerorun {
namespace {

std::string who_is_absent(const JobFolder& folder) {
  const auto absent = folder.absent();
  if (absent.empty()) return "another rank ended or hangs before MPI_Init";
  return ranks_that(absent, "has not come: ended, or hangs before MPI_Init", "have not come: ended, or hang before MPI_Init");
}

std::string timeout_message(double seconds, const JobFolder& folder) {
  const char* rank = std::getenv("OMPI_COMM_WORLD_RANK");
  return fmt::format("rank {}: MPI did not start within {} s: {}; look for its message, or raise comm.timeout_seconds", rank ? rank : "0", seconds,
                     who_is_absent(folder));
}

// One rank of a host cleans up.
void remove_what_jobs_left() {
  const char* local_rank = std::getenv("OMPI_COMM_WORLD_LOCAL_RANK");
  if (local_rank && std::string_view(local_rank) != "0") return;
  const char* sessions = std::getenv("OMPI_MCA_orte_top_session_dir");
  remove_leftovers(sessions ? sessions : fmt::format("/tmp/ompi.{}.{}", host_name(), getuid()));
}

// Where files that processes map are well kept: on a disk, or in memory, of this host.
bool is_local_with_room(const char* folder) {
  constexpr int64_t kRoom = int64_t{1} << 30;
  struct statfs system;
  if (statfs(folder, &system) != 0 || static_cast<int64_t>(system.f_bavail) * system.f_bsize < kRoom) return false;
  constexpr int64_t kLocal[] = {EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, TMPFS_MAGIC, OVERLAYFS_SUPER_MAGIC};
  return std::ranges::find(kLocal, static_cast<int64_t>(system.f_type)) != std::end(kLocal);
}

// Messages of a host go through files that OpenMPI maps. In /dev/shm they would stay when the job is killed; the folder of the job goes.
void keep_files_in_job_folder() {
  const char* folder = std::getenv("PMIX_SERVER_TMPDIR");
  if (folder && is_local_with_room(folder)) setenv("OMPI_MCA_btl_vader_backing_directory", folder, /*overwrite=*/0);
}

bool is_initialised() {
  int initialised = 0;
  MPI_Initialized(&initialised);
  return initialised != 0;
}

void check_thread_level() {
  int provided = MPI_THREAD_SINGLE;
  MPI_Query_thread(&provided);
  if (provided < MPI_THREAD_MULTIPLE) {
    fail(ErrorKind::configuration,
         "MPI provides thread level {}, expected MPI_THREAD_MULTIPLE ({}); ask MPI_Init_thread for it, or use an MPI built with it",
         provided, static_cast<int>(MPI_THREAD_MULTIPLE));
  }
}

void check_not_finalised() {
  int finalised = 0;
  MPI_Finalized(&finalised);
  if (finalised) {
    fail(ErrorKind::configuration,
         "MPI has been finalised in this process, and cannot start again; keep one session for all that it does, or call MPI_Init_thread before the "
         "first, which then leaves MPI as it is");
  }
}

// Returns whether MPI was initialised here.
bool initialise() {
  check_not_finalised();
  const bool here = !is_initialised();
  int provided = MPI_THREAD_SINGLE;
  if (here) {
    remove_what_jobs_left();
    keep_files_in_job_folder();
    MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided);
  }
  check_thread_level();
  MPI_Barrier(MPI_COMM_WORLD);
  return here;
}

}  // namespace

MpiSession::MpiSession(double timeout_seconds, std::function<void(std::string)> on_timeout)
    : exceptions_at_start_(std::uncaught_exceptions()), job_folder_(std::make_unique<JobFolder>()) {
  {
    job_folder_->sign_in();
    const Watchdog watchdog(timeout_seconds, [&] {
      const auto message = timeout_message(timeout_seconds, *job_folder_);
      on_timeout(claim_to_speak() ? message : "");
    });
    owns_mpi_ = initialise();
  }
  communicator_ = MPI_Comm_c2f(MPI_COMM_WORLD);
  find_neighbours();
}

MpiSession::MpiSession(int communicator)
    : communicator_(communicator), exceptions_at_start_(std::uncaught_exceptions()), job_folder_(std::make_unique<JobFolder>()) {
  check_not_finalised();
  ZR_CHECK(is_initialised(), "a session over a communicator of the caller's, but MPI is not initialised; call MPI_Init_thread first");
  check_thread_level();
  find_neighbours();
}

std::unique_ptr<MpiSession> MpiSession::split(int color) {
  MPI_Comm part = MPI_COMM_NULL;
  MPI_Comm_split(MPI_Comm_f2c(communicator_), color, rank_, &part);
  auto session = std::make_unique<MpiSession>(MPI_Comm_c2f(part));
  session->owns_communicator_ = true;
  return session;
}

MpiSession::~MpiSession() {
  if (owns_communicator_ && std::uncaught_exceptions() == exceptions_at_start_) {
    MPI_Comm part = MPI_Comm_f2c(communicator_);
    MPI_Comm_free(&part);
  }
  if (owns_mpi_ && std::uncaught_exceptions() == exceptions_at_start_) MPI_Finalize();
}

bool MpiSession::claim_to_speak() { return job_folder_->claim_to_speak(); }

// MPI_Abort does the same, and prints a block of its own behind the message that the user should read.
void MpiSession::abort(int exit_code) {
  if (!PMIx_Initialized() || PMIx_Abort(exit_code, "", nullptr, 0) != PMIX_SUCCESS) MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::_Exit(exit_code);
}

void MpiSession::find_neighbours() {
  const MPI_Comm all = MPI_Comm_f2c(communicator_);
  MPI_Comm_rank(all, &rank_);
  MPI_Comm_size(all, &size_);
  MPI_Comm local = MPI_COMM_NULL;
  MPI_Comm_split_type(all, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &local);
  MPI_Comm_rank(local, &local_rank_);
  MPI_Comm_size(local, &local_size_);
  int64_t first_of_host = rank_;
  MPI_Bcast(&first_of_host, 1, MPI_INT64_T, 0, local);
  host_of_rank_.resize(static_cast<size_t>(size_));
  MPI_Allgather(&first_of_host, 1, MPI_INT64_T, host_of_rank_.data(), 1, MPI_INT64_T, all);
  MPI_Comm_free(&local);
  char name[MPI_MAX_PROCESSOR_NAME];
  int length = 0;
  MPI_Get_processor_name(name, &length);
  host_.assign(name, static_cast<size_t>(length));
}

// OpenMPI goes on after a comma with its packager and build; the first words tell it.
std::string mpi_library() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  MPI_Get_library_version(text, &length);
  const std::string version(text, static_cast<size_t>(length));
  return version.substr(0, version.find_first_of(",\n"));
}

}  // namespace zerorun
