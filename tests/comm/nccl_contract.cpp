// The contract suite on ranks that are GPUs, and what else takes one; a program by itself, started by hand:
//
//     mpirun -np 4 nccl_contract_on_gpu
//
// Every rank takes the GPU of its place on its host. Where there are fewer GPUs than ranks they share them: then NCCL runs only where it can do that, and collectives
// are staged through host memory. Exit status 0 where all passes.
#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <thread>

#include "comm/buffers.h"
#include "comm/connect.h"
#include "comm/gather.h"
#include "comm/nccl_communicator.h"
#include "comm/staged_communicator.h"
#include "core/error.h"
#include "core/gpu/gpu.h"
#include "core/memory.h"
#include "tests/comm/contract_suite.h"
#include "tests/comm/rank_program.h"

namespace zerorun::test {
namespace {

bool shares_a_gpu = false;

void run_on_this_rank(const std::function<void(Communicator& control)>& body) {
  test::run_on_this_rank([](MpiSession& session) { return connect(session); }, body);
}

NcclOptions options(bool strict, double timeout_seconds = 60) {
  return {.timeout_seconds = timeout_seconds, .strict = strict, .allow_shared_gpu = shares_a_gpu};
}

std::shared_ptr<const DeviceMemory> gpu_memory() {
  const auto allocate = [](int64_t bytes) {
    const auto buffer = std::make_shared<at::Tensor>(gpu_buffer(bytes));
    return std::shared_ptr<void>(buffer, buffer->data_ptr());
  };
  const auto move = [](const void* from, void* to, int64_t bytes) {
    gpu::copy(from, to, bytes);
    gpu::synchronize();
  };
  return std::make_shared<DeviceMemory>(DeviceMemory{allocate, move, move, Side::gpu});
}

bool nccl_runs() { return !shares_a_gpu || std::getenv("NCCL_MULTI_RANK_GPU_ENABLE"); }

std::vector<Backend> backends() {
  const auto nccl = [](const std::string& name, bool strict) {
    const auto run = [strict](const auto& body) {
      run_on_this_rank([&](Communicator& control) {
        NcclCommunicator communicator(control, options(strict));
        body(communicator);
      });
    };
    return Backend{name, the_session->size(), run, gpu_memory(), strict};
  };
  const auto run_staged = [](const auto& body) {
    run_on_this_rank([&](Communicator& control) {
      StagedCommunicator communicator(control, gpu_copies(), [](int64_t bytes) { return gpu_buffer(bytes); });
      body(communicator);
    });
  };
  std::vector<Backend> all{{"staged", the_session->size(), run_staged, gpu_memory()}};
  if (!nccl_runs()) return all;
  const Backend strict = nccl("strict", true), fast = nccl("fast", false);
  all.insert(all.end(), {strict, registered(strict), counted(strict), fast, registered(fast)});
  return all;
}

INSTANTIATE_TEST_SUITE_P(Gpus, CollectivesContract, testing::ValuesIn(backends()), name_of_instance);
INSTANTIATE_TEST_SUITE_P(Gpus, CommunicatorContract, testing::ValuesIn(backends()), name_of_instance);

TEST(Nccl, ACollectiveThatAPeerDoesNotComeToEndsWithATimeoutThatNamesIt) {
  if (the_session->size() == 1 || !nccl_runs()) return;
  run_on_this_rank([](Communicator& control) {
    std::string told;
    std::atomic<bool> is_told = false;
    NcclOptions limited = options(true, 3);
    limited.on_failure = [&](const std::exception_ptr& failure) {
      try {
        std::rethrow_exception(failure);
      } catch (const std::exception& error) {
        told = error.what();
      }
      is_told = true;
    };
    const at::Tensor memory = gpu_buffer(64 * control.size());
    {
      NcclCommunicator communicator(control, limited);
      const Span full{memory.data_ptr(), memory.numel(), at::kByte, Side::gpu};
      communicator.all_gather(full.slice(control.rank(), control.size()), full).wait();
      gpu::synchronize();
      gather(control, 0);
      if (control.rank() == 0) {
        communicator.tell(Activity("gather of blocks.1"));
        EXPECT_THROW(
            {
              communicator.all_gather(full.slice(0, control.size()), full).wait();
              gpu::synchronize();  // ends: the collective is ended
              while (!is_told) std::this_thread::sleep_for(std::chrono::milliseconds(10));
              communicator.all_gather(full.slice(0, control.size()), full);
            },
            Error);
        communicator.tell(Activity());  // peers say nothing of theirs
        EXPECT_TRUE(!is_told || told.find("all_gather of 64 x Byte (gather of blocks.1)") != std::string::npos) << told;
      }
      gather(control, 0);
    }
  });
}

TEST(Nccl, BuffersAndWorksMayOutliveTheCommunicator) {
  if (!nccl_runs()) return;
  run_on_this_rank([](Communicator& control) {
    at::Tensor buffer;
    Work work;
    {
      NcclCommunicator communicator(control, options(true));
      buffer = communicator.allocate(64 * control.size());
      const Span full{buffer.data_ptr(), buffer.numel(), at::kByte, Side::gpu};
      work = communicator.all_gather(full.slice(control.rank(), control.size()), full);
      work.wait();
      gpu::synchronize();
    }
    gpu::fill_zero(buffer.data_ptr(), buffer.numel());
    gpu::synchronize();
    buffer = at::Tensor();
  });
}

TEST(Nccl, ADisagreementOnABufferIsToldBeforeNcclWaits) {
  if (the_session->size() == 1 || !nccl_runs()) return;
  run_on_this_rank([](Communicator& control) {
    NcclCommunicator communicator(control, options(true));
    EXPECT_THROW(communicator.allocate(64 + control.rank()), Error);
  });
}

TEST(Nccl, RanksThatShareAGpuAreTold) {
  if (the_session->size() == 1 || !shares_a_gpu) return;
  run_on_this_rank([](Communicator& control) {
    try {
      NcclCommunicator communicator(control, {.timeout_seconds = 60});
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::configuration) << error.what();
    }
  });
}

int run(int argc, char** argv) {
  install_counting_allocators();
  MpiSession session(60, end_on_timeout);
  the_session = &session;
  const auto gpus = static_cast<int>(gpu::visible().size());
  if (gpus == 0) {
    std::fprintf(stderr, "rank %d: no GPU: %s\n", session.rank(), gpu::absence().c_str());
    session.abort(78);
  }
  shares_a_gpu = session.local_size() > gpus;
  gpu::start({.index = session.local_rank() % gpus});
  return run_all_tests(argc, argv);
}

}  // namespace
}  // namespace zerorun::test

int main(int argc, char** argv) {
  try {
    return zerorun::test::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
