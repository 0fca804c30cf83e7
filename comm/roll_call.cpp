#include "comm/roll_call.h"

#include <fmt/format.h>
#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "comm/mpi_session.h"
#include "comm/rank_words.h"

namespace zerorun {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kTag = 0;

int duplicate(int communicator) {
  MPI_Comm copy = MPI_COMM_NULL;
  MPI_Comm_dup(MPI_Comm_f2c(communicator), &copy);
  return MPI_Comm_c2f(copy);
}

bool all_answered(const auto& answers) {
  return std::ranges::all_of(answers, [](const auto& answer) { return answer.has_value(); });
}

}  // namespace

RollCall::RollCall(MpiSession& session)
    : rank_(session.rank()), size_(session.size()), questions_(duplicate(session.communicator())), answers_(duplicate(session.communicator())) {
  own_.process = getpid();
  session.host().copy(own_.host.data(), own_.host.size() - 1);
  thread_ = std::thread([this] { answer_until_stopped(); });
}

// The communicators stay: freeing them would be one more collective, which a rank that hangs does not come to.
RollCall::~RollCall() {
  stopped_ = true;
  thread_.join();
}

void RollCall::tell(const Activity& activity) {
  const std::lock_guard lock(mutex_);
  own_.activity = activity;
}

uint64_t RollCall::come_to_call() {
  const std::lock_guard lock(mutex_);
  return ++own_.calls;
}

void RollCall::set_under_way(uint64_t number, const Call& call) {
  const std::lock_guard lock(mutex_);
  own_.under_way = number;
  own_.call = call;
}

RollCall::Answer RollCall::own() {
  const std::lock_guard lock(mutex_);
  return own_;
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

RollCall::Answers RollCall::ask_all() {
  Answers answers(static_cast<size_t>(size_));
  std::vector<Answer> arriving(static_cast<size_t>(size_));
  std::vector<MPI_Request> requests(static_cast<size_t>(2 * size_), MPI_REQUEST_NULL);
  for (int r = 0; r < size_; ++r) {
    if (r == rank_) continue;
    MPI_Irecv(&arriving[r], sizeof(Answer), MPI_BYTE, r, kTag, MPI_Comm_f2c(answers_), &requests[r]);
    MPI_Isend(nullptr, 0, MPI_BYTE, r, kTag, MPI_Comm_f2c(questions_), &requests[size_ + r]);
  }
  answers[rank_] = own();
  for (const auto until = Clock::now() + std::chrono::seconds(1); !all_answered(answers) && Clock::now() < until;) {
    for (int r = 0; r < size_; ++r) {
      int is_here = 0;
      if (!answers[r]) MPI_Test(&requests[r], &is_here, MPI_STATUS_IGNORE);
      if (is_here) answers[r] = arriving[r];
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  for (int r = 0; r < size_; ++r) {  // no answer may come after the memory for it is gone
    if (answers[r]) continue;
    MPI_Cancel(&requests[r]);
    MPI_Wait(&requests[r], MPI_STATUS_IGNORE);
  }
  return answers;
}

void RollCall::check_same_call(const Answers& answers) const {
  std::vector<CallOfRank> calls;
  for (int r = 0; r < size_; ++r) {
    if (answers[r] && answers[r]->under_way == answers[rank_]->under_way) calls.push_back({r, answers[r]->call});
  }
  check_agreement(calls);
}

std::string RollCall::who_is_late() {
  const std::lock_guard one_at_a_time(asking_);
  const Answers answers = ask_all();
  check_same_call(answers);
  uint64_t fewest = UINT64_MAX;
  for (const auto& answer : answers) fewest = std::min(fewest, answer ? answer->calls : UINT64_MAX);
  const bool all_here = all_answered(answers);
  std::string text;
  for (int r = 0; r < size_; ++r) {
    if (answers[r] && (!all_here || answers[r]->calls > fewest)) continue;
    text += text.empty() ? "" : ", ";
    text += answers[r] ? rank_in(r, answers[r]->process, answers[r]->host.data(), "is", answers[r]->activity)
                       : fmt::format("rank {} does not answer, is stopped or cut off", r);
  }
  return text;
}

}  // namespace zerorun
