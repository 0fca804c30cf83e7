// MPI for the life of this object, and who this process is in it. Started without mpirun it is a group of one. Built without
// MPI (no_mpi.cpp) it is always one, and more are an error.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace zerorun {

class JobFolder;

class MpiSession {
 public:
  // Initialises MPI with MPI_THREAD_MULTIPLE and meets all ranks. Blocks until every rank has come here. MPI would wait
  // for ever for a rank that ended or hangs before that; nothing but the end of the process gets out of MPI_Init then, so
  // after `timeout_seconds` `on_timeout` gets the message, on another thread; expected to print it and to _exit(82). It is empty
  // where another rank of this host has said it.
  // When the caller has initialised MPI already it is used, and not finalised. Error of kind configuration when MPI does
  // not provide MPI_THREAD_MULTIPLE, or when it has been finalised: by the session before this one, where that initialised
  // it. REQUIRES: one session at a time, in the thread that will destroy it.
  MpiSession(double timeout_seconds, std::function<void(std::string)> on_timeout);
  // For a program that has its own MPI: the ranks are those of the communicator MPI_Comm_f2c(communicator), all of them or
  // some. REQUIRES that the caller has initialised MPI, with MPI_THREAD_MULTIPLE, and keeps the communicator until the
  // session is gone; nothing is finalised here. Collective over the communicator. Errors as above.
  explicit MpiSession(int communicator);
  // Waits for all ranks (MPI_Finalize). When an exception unwinds it, it does not: the others would hang with it, and the
  // exit of a process that did not finalise makes mpirun end them. abort() is the ordered way.
  ~MpiSession();
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }
  // Among the ranks of this host.
  int local_rank() const { return local_rank_; }
  int local_size() const { return local_size_; }
  const std::string& host() const { return host_; }

  // The ranks that give the same `color`, in their order: a session of their own, which this one must outlive. Collective.
  std::unique_ptr<MpiSession> split(int color);
  // A number of each rank's host, by rank.
  const std::vector<int64_t>& host_of_rank() const { return host_of_rank_; }

  // As MPI_Comm_c2f gives it: this header brings no mpi.h.
  int communicator() const { return communicator_; }

  // Ranks often fail alike, and one message is enough: true for the first rank of this host that asks, in the life of the job. True
  // for all where no launcher has a folder for the job.
  bool claim_to_speak();

  // Ends all ranks at once, also those of the caller's that are not in the session; mpirun returns `exit_code`. Print and flush first.
  [[noreturn]] void abort(int exit_code);

 private:
  void find_neighbours();

  bool owns_mpi_ = false;
  int communicator_ = 0;
  int exceptions_at_start_ = 0;
  int rank_ = 0;
  int size_ = 1;
  int local_rank_ = 0;
  int local_size_ = 1;
  std::string host_;
  std::vector<int64_t> host_of_rank_;
  bool owns_communicator_ = false;
  std::unique_ptr<JobFolder> job_folder_;
};

// The MPI that this process runs on, e.g. "Open MPI v4.1.4"; empty where zerorun was built without. Needs no session.
std::string mpi_library();

}  // namespace zerorun
