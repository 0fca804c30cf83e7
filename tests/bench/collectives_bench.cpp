// What collectives of MPI ranks take: one JSON line per collective, dtype and size from rank 0. For tests/bench/collectives.py.
//   mpirun -np 2 collectives_bench [--repeats N] [--bytes S,S,...]
// S: bytes of the whole in fp32, a slice of which is a rank's; bf16 has as many elements and half the bytes. A time is the slowest rank's, from a moment at which all are
// there. A gather copies, from a slice that lies apart or in place; both spans come from Communicator::allocate. What arrives is checked, once.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <sstream>
#include <string>
#include <vector>


#include "comm/gather.h"
#include "comm/connect.h"
#include "comm/mpi_session.h"
#include "core/error.h"
#include "core/threads.h"

namespace zerorun {
namespace {

struct Options {
  int repeats = 7;
  std::vector<int64_t> bytes = {4 << 20, 16 << 20, 64 << 20, 256 << 20};
};

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::string(argv[i]) == "--repeats") options.repeats = std::stoi(argv[i + 1]);
    if (std::string(argv[i]) != "--bytes") continue;
    options.bytes.clear();
    std::istringstream list(argv[i + 1]);
    for (std::string size; std::getline(list, size, ',');) options.bytes.push_back(std::stoll(size));
  }
  return options;
}

struct Buffers {
  at::Tensor slice, full, scratch;

  Buffers(Communicator& communicator, int64_t count, at::ScalarType dtype)
      : slice(communicator.allocate(count * static_cast<int64_t>(c10::elementSize(dtype))).view(dtype)),
        full(communicator.allocate(slice.nbytes() * communicator.size()).view(dtype)),
        scratch(communicator.allocate(communicator.reduce_scratch_bytes(count, dtype))) {
    slice.fill_(communicator.rank() + 1);
    full.fill_(communicator.rank() + 1);
    scratch.zero_();
  }
};

Span span_of(const at::Tensor& tensor) { return {tensor.data_ptr(), tensor.numel(), tensor.scalar_type()}; }

// Of every repeat the slowest rank's seconds.
std::vector<double> time_of(Communicator& communicator, int repeats, const std::function<Work()>& collective) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> seconds;
  for (int i = 0; i < repeats; ++i) {
    gather(communicator, 0);
    const auto start = Clock::now();
    collective().wait();
    const auto all = gather(communicator, std::chrono::duration<double>(Clock::now() - start).count());
    seconds.push_back(*std::max_element(all.begin(), all.end()));
  }
  return seconds;
}

void expect(const at::Tensor& arrived, float value, const char* collective) {
  ZR_CHECK(arrived.eq(value).all().item<bool>(), "{} did not bring {} everywhere", collective, value);
}

void print(Communicator& communicator, const char* collective, const Buffers& buffers, std::vector<double> seconds) {
  if (communicator.rank() != 0) return;
  std::sort(seconds.begin(), seconds.end());
  const char* dtype = buffers.slice.scalar_type() == at::kFloat ? "fp32" : "bf16";
  fmt::print("{{\"collective\": \"{}\", \"dtype\": \"{}\", \"bytes\": {}, \"best\": {:.9f}, \"median\": {:.9f}}}\n", collective, dtype,
             buffers.full.nbytes(), seconds.front(), seconds[seconds.size() / 2]);
  std::fflush(stdout);
}

void measure(Communicator& communicator, int64_t count, at::ScalarType dtype, int repeats) {
  const Buffers buffers(communicator, count, dtype);
  const auto whole = span_of(buffers.full);
  const auto last = buffers.full.narrow(0, count * (communicator.size() - 1), count);
  const auto reduce = [&] { return communicator.reduce_scatter(whole, span_of(buffers.slice), span_of(buffers.scratch)); };
  const auto copy = [&] { return communicator.all_gather(span_of(buffers.slice), whole); };
  reduce().wait();
  const auto ranks = static_cast<float>(communicator.size());
  expect(buffers.slice, ranks * (ranks + 1) / 2, "reduce_scatter");
  print(communicator, "reduce_scatter", buffers, time_of(communicator, repeats, reduce));
  buffers.slice.fill_(communicator.rank() + 1);
  copy().wait();
  expect(last, ranks, "all_gather");
  print(communicator, "all_gather", buffers, time_of(communicator, repeats, copy));
  const auto copy_in_place = [&] { return communicator.all_gather(whole.slice(communicator.rank(), communicator.size()), whole); };
  print(communicator, "all_gather in place", buffers, time_of(communicator, repeats, copy_in_place));
  gather(communicator, 0);  // nobody frees what others may still read
}

int bench(int argc, char** argv) {
  const auto options = parse(argc, argv);
  set_compute_threads(1);
  MpiSession session(60, [](const std::string& message) {
    std::fputs(message.c_str(), stderr);
    std::_Exit(82);
  });
  const auto connected = connect(session);
  Communicator& communicator = *connected;
  for (const int64_t bytes : options.bytes) {
    for (const auto dtype : {at::kFloat, at::kBFloat16}) measure(communicator, bytes / 4 / communicator.size(), dtype, options.repeats);
  }
  return 0;
}

}  // namespace
}  // namespace zerorun

int main(int argc, char** argv) {
  try {
    return zerorun::bench(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 70;
  }
}
