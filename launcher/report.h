// What a run says about itself: predicted against measured memory per rank, traffic, steps. The caller fills the
// structures; report.json and the tables on the console are made from them. README.md has the form of the JSON.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/memory.h"
#include "launcher/step_time.h"

namespace zerorun {

struct ComparedBytes {
  int64_t predicted = 0;
  int64_t measured = 0;
};

// Of a GPU in use before the model, bytes.
struct GpuBaseline {
  int64_t context = 0;    // of this process, and what others use
  int64_t workspace = 0;  // cuBLAS'
  int64_t nccl = 0;       // what NCCL takes to connect the ranks
  int ranks = 1;          // that compute on it: all is of them together

  int64_t total() const { return context + workspace + nccl; }
};

// Peaks over the run, bytes.
struct RankMemory {
  int rank = 0;
  std::array<ComparedBytes, kCategoryCount> categories{};  // by Category
  ComparedBytes padding;                                   // of parameters, gradients and optimizer: what alignment adds
  ComparedBytes total;                                     // of the device's categories, at one moment
  ComparedBytes arena;                                     // what is resident beside them (MemoryUsage::arena_overhead)
  ComparedBytes process_peak;                              // anonymous memory and own windows
  int64_t process_baseline = 0;                            // of the process before the model: libraries and MPI
  // Of a GPU, which all its processes share.
  struct Gpu {
    GpuBaseline baseline;
    ComparedBytes reserved;  // of its memory by this rank's tensors, in whole pages
    ComparedBytes used;      // in use at the end
  };
  std::optional<Gpu> gpu;
  int64_t gpu_reserved_with_export = 0, process_peak_with_export = 0;  // predicted, for what comes after the report; at least process_peak
};

struct CollectiveTraffic {
  int64_t calls = 0;
  int64_t bytes_sent = 0;
  int64_t predicted_bytes_sent = 0;
  double seconds = 0;
};

// Of rank 0, over the whole run.
struct Communication {
  CollectiveTraffic all_gather;
  CollectiveTraffic reduce_scatter;
  CollectiveTraffic all_reduce;
  CollectiveTraffic control;
};

struct StepSummary {
  int64_t count = 0;
  int64_t skipped = 0;  // of them, in fp16: gradients overflowed, nothing was updated or published
  double first_loss = 0;
  double last_loss = 0;
  std::optional<double> last_validation_loss;
  double median_seconds = 0;
  double tokens_per_second = 0;
  double startup_seconds = 0;
  std::optional<StepTime> predicted;  // where the machine's rates are known
};

struct Report {
  std::string version;
  int world_size = 1;
  int stage = 0;
  std::string device;
  int threads = 1;
  int64_t parameters = 0;
  std::vector<RankMemory> memory;  // every rank, by rank
  Communication communication;
  StepSummary steps;
};

// report.json, its last line ended. What is not finite becomes null.
std::string report_json(const Report& report);
// From its text, which is that of `file`: null becomes NaN, keys that are not known are passed over. Throws Error(bad_data) that says which value is not what was expected.
Report report_of(std::string_view json, const std::string& file);

// What `zerorun plan --json` prints: memory and communication without what only a run can measure. `calls` are then the
// predicted calls. No newline at the end.
std::string plan_json(const std::vector<RankMemory>& memory, const Communication& communication, const ByPhase& step, const std::optional<StepTime>& time);

// "a step takes at least 0.61 s: forward 0.30 s (updates), backward 0.31 s (matrix products)"
std::string step_line(const StepTime& time);

// Text of at most 100 columns but for the last line of the comparison, each line ended. Categories without bytes are left out.
// REQUIRES memory is not empty; its first entry is rank 0.
std::string prediction_table(const std::vector<RankMemory>& memory);   // rank 0 and the rank with the largest total
std::string memory_comparison(const std::vector<RankMemory>& memory);  // the same with measured and difference
std::string comparison_table(const Report& report);                    // and with traffic

// The measured half of a rank's memory, from its ledger, from what its process allocated without a scope, and its process's peak.
// REQUIRES that the predicted half is there.
void fill_measured(RankMemory& memory, const MemoryUsage& usage, const MemoryUsage& unscoped, int64_t process_peak, int64_t gpu_in_use = 0);

// Parameters, gradients and optimizer together.
int64_t state_bytes(const RankMemory& memory, int64_t ComparedBytes::*which);

// "1,234,567"
std::string with_commas(int64_t value);

// "1.50 GiB"
std::string readable_bytes(int64_t bytes);

}  // namespace zerorun
