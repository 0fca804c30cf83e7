#include "comm/roll_call.h"

#include <fmt/format.h>
#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <vector>

#include "comm/mpi_session.h"

namespace zerorun {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kTag = 0;

int duplicate(int communicator) {
  MPI_Comm copy = MPI_COMM_NULL;
  MPI_Comm_dup(MPI_Comm_f2c(communicator), &copy);
  return MPI_Comm_c2f(copy);
}

}  // namespace

RollCall::RollCall(MpiSession& session)
    : rank_(session.rank()),
      size_(session.size()),
      questions_(duplicate(session.communicator())),
      answers_(duplicate(session.communicator())),
      host_(session.host()),
      thread_([this] { answer_until_stopped(); }) {}

// The communicators stay: freeing them would be one more collective, which a rank that hangs does not come to.
RollCall::~RollCall() {
  stopped_ = true;
  thread_.join();
}

void RollCall::tell(const Activity& activity) {
  const std::lock_guard lock(mutex_);
  activity_ = activity;
}

RollCall::Answer RollCall::own() {
  Answer answer{.calls = calls_, .process = getpid(), .host = {}, .activity = {}};
  host_.copy(answer.host.data(), answer.host.size() - 1);
  const std::lock_guard lock(mutex_);
  answer.activity = activity_;
  return answer;
}

void RollCall::answer_until_stopped() {
  while (!stopped_) {
    int is_asked = 0;
    MPI_Status status;
    MPI_Iprobe(MPI_ANY_SOURCE, kTag, MPI_Comm_f2c(questions_), &is_asked, &status);
    if (!is_asked) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      continue;
    }
    MPI_Recv(nullptr, 0, MPI_BYTE, status.MPI_SOURCE, kTag, MPI_Comm_f2c(questions_), MPI_STATUS_IGNORE);
    const Answer answer = own();
    MPI_Send(&answer, sizeof answer, MPI_BYTE, status.MPI_SOURCE, kTag, MPI_Comm_f2c(answers_));
  }
}

std::string RollCall::who_is_late() {
  std::vector<std::optional<Answer>> answers(static_cast<size_t>(size_));
  std::vector<Answer> arriving(static_cast<size_t>(size_));
  std::vector<MPI_Request> requests(static_cast<size_t>(2 * size_), MPI_REQUEST_NULL);
  for (int r = 0; r < size_; ++r) {
    if (r == rank_) continue;
    MPI_Irecv(&arriving[r], sizeof(Answer), MPI_BYTE, r, kTag, MPI_Comm_f2c(answers_), &requests[r]);
    MPI_Isend(nullptr, 0, MPI_BYTE, r, kTag, MPI_Comm_f2c(questions_), &requests[size_ + r]);
  }
  answers[rank_] = own();
  const auto everybody = [&] { return std::ranges::all_of(answers, [](const auto& answer) { return answer.has_value(); }); };
  for (const auto until = Clock::now() + std::chrono::seconds(1); !everybody() && Clock::now() < until;) {
    for (int r = 0; r < size_; ++r) {
      int is_here = 0;
      if (!answers[r]) MPI_Test(&requests[r], &is_here, MPI_STATUS_IGNORE);
      if (is_here) answers[r] = arriving[r];
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }

  uint64_t fewest = UINT64_MAX;
  for (const auto& answer : answers) fewest = std::min(fewest, answer ? answer->calls : UINT64_MAX);
  const bool all_here = everybody();
  std::string text;
  for (int r = 0; r < size_; ++r) {
    if (answers[r] && (!all_here || answers[r]->calls > fewest)) continue;
    text += text.empty() ? "" : ", ";
    text += answers[r] ? fmt::format("rank {} (process {} on {}) is in {}", r, answers[r]->process, answers[r]->host.data(),
                                     answers[r]->activity.text().empty() ? "the start" : answers[r]->activity.text())
                       : fmt::format("rank {} does not answer, is stopped or cut off", r);
  }
  return text;
}

}  // namespace zerorun
