// What a run is told to do: the YAML file with the values of --set over it. README.md lists every key with its range.
//
// Settings are plain data with their defaults in the declaration. Keys without a sensible default (steps, batch sizes, lr,
// data.train) start at a value that the reader refuses. The table in settings_schema.cpp is the one declaration that ties
// a key to its member, its range and its text.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace zerorun {

struct Settings {
  enum class Determinism { fast, strict };
  enum class Device { automatic, cpu, cuda };
  enum class Family { gpt2, llama };
  enum class Format { automatic, bytes, tokens_uint16 };
  enum class OptimizerName { adamw, sgd };
  enum class Schedule { cosine, linear, constant };
  enum class Backend { automatic, mpi, nccl };
  enum class ParamDtype { fp32, bf16, fp16 };
  enum class ReduceDtype { fp32, bf16 };
  enum class Checkpointing { none, full };
  enum class OffloadDevice { none, cpu, nvme };

  struct Run {
    std::string name;  // default: the stem of the file
    std::string dir;   // default: runs/<name>
    int64_t seed = 42;
    Determinism determinism = Determinism::fast;
    Device device = Device::automatic;
    std::optional<int64_t> threads;  // per rank; none: cores / ranks of this host
    bool operator==(const Run&) const = default;
  } run;

  // Fields that are set override those of the preset; those of a Hugging Face folder they must equal.
  struct Model {
    Family family = Family::gpt2;
    std::optional<std::string> preset;
    std::optional<std::string> hf_path;  // folder with config.json and weights to start from
    std::optional<int64_t> vocab_size;
    std::optional<int64_t> hidden_size;
    std::optional<int64_t> num_hidden_layers;
    std::optional<int64_t> num_attention_heads;
    std::optional<int64_t> num_key_value_heads;  // llama
    std::optional<int64_t> head_dim;             // llama
    std::optional<int64_t> intermediate_size;
    std::optional<int64_t> max_position_embeddings;
    std::optional<bool> tie_word_embeddings;
    std::optional<double> dropout;         // gpt2: of the embedding and of what is added to the residual stream
    std::optional<double> layer_norm_eps;  // gpt2
    std::optional<double> rms_norm_eps;    // llama
    std::optional<double> rope_theta;      // llama
    std::vector<std::string> frozen;       // patterns of names
    bool operator==(const Model&) const = default;
  } model;

  struct Data {
    std::vector<std::string> train;                              // paths or globs, as written
    std::variant<std::monostate, double, std::string> validation;  // none, fraction of train in (0, 1), path or glob
    Format format = Format::automatic;
    bool operator==(const Data&) const = default;
  } data;

  struct Training {
    int64_t steps = 0;
    int64_t global_batch_size = 0;  // sequences per step, over all ranks
    int64_t micro_batch_size = 0;   // sequences of one rank's forward
    int64_t seq_len = 0;            // tokens
    double max_norm = 1.0;          // of the gradient; 0: no clipping
    bool check_finite = true;       // end where the loss or the norm is no finite number
    int64_t eval_interval = 0;      // steps; 0: at the end only
    int64_t eval_batches = 20;      // global batches; 0: the whole split
    bool operator==(const Training&) const = default;
  } training;

  struct Precision {
    ParamDtype param_dtype = ParamDtype::fp32;
    ReduceDtype reduce_dtype = ReduceDtype::fp32;
    bool tf32 = false;  // on a GPU: products of fp32 with 10 bits of mantissa
    struct Fp16 {
      double loss_scale = 0;  // 0: dynamic
      int64_t initial_scale_power = 16;
      int64_t loss_scale_window = 1000;  // steps
      int64_t hysteresis = 2;
      double min_loss_scale = 1;
      bool operator==(const Fp16&) const = default;
    } fp16;
    bool operator==(const Precision&) const = default;
  } precision;

  struct Optimizer {
    OptimizerName name = OptimizerName::adamw;
    double lr = 0;
    std::array<double, 2> betas{0.9, 0.95};  // AdamW
    double eps = 1e-8;                       // AdamW
    double weight_decay = 0.1;
    double momentum = 0.9;  // SGD
    bool stochastic_rounding = false;  // of bf16 parameters from their masters
    bool operator==(const Optimizer&) const = default;
  } optimizer;

  struct LrScheduler {
    Schedule name = Schedule::cosine;
    int64_t warmup_steps = 0;
    double min_lr_factor = 0.1;
    bool operator==(const LrScheduler&) const = default;
  } lr_scheduler;

  struct ActivationCheckpoint {
    Checkpointing mode = Checkpointing::none;
    OffloadDevice offload = OffloadDevice::none;  // where what blocks read sleeps until their backward
    std::optional<std::string> path;              // of nvme: a folder
    bool operator==(const ActivationCheckpoint&) const = default;
  } activation_checkpoint;

  struct ZeroOptimization {
    int64_t stage = 3;
    int64_t prefetch = 1;  // units gathered ahead
    bool verify_extents = false;  // checksums of what sleeps on disk
    struct OffloadParam {
      OffloadDevice device = OffloadDevice::none;
      std::optional<std::string> path;  // of nvme: a folder
      bool overlap = true;
      int64_t buffer_count = 2;  // slices on the device at a time
      bool operator==(const OffloadParam&) const = default;
    } offload_param;
    struct OffloadOptimizer {
      OffloadDevice device = OffloadDevice::none;
      std::optional<std::string> path;  // of nvme: a folder
      bool overlap = true;
      double ratio = 1;  // of the states that sleep
      bool operator==(const OffloadOptimizer&) const = default;
    } offload_optimizer;
    bool operator==(const ZeroOptimization&) const = default;
  } zero_optimization;

  struct Comm {
    Backend backend = Backend::automatic;
    int64_t timeout_seconds = 120;
    int64_t pretend_hosts = 1;
    bool check_every_collective = false;
    bool allow_shared_gpu = false;  // several ranks on one GPU: for tests
    bool operator==(const Comm&) const = default;
  } comm;

  struct Metrics {
    int64_t log_freq = 10;  // steps between lines on the console
    bool export_hf = true;  // the trained weights, as a Hugging Face folder
    int64_t trace_steps = 0;  // after the first, that go into trace.json
    bool operator==(const Metrics&) const = default;
  } metrics;

  struct Memory {
    std::optional<int64_t> limit;  // bytes per rank; none: what the machine has
    bool fail_if_predicted_over = true;
    bool operator==(const Memory&) const = default;
  } memory;

  // Where each value comes from, by key: "default", "train.yaml:14:3" or "--set training.steps".
  std::map<std::string, std::string> origins;

  // Equal values; where they came from does not count.
  bool operator==(const Settings& other) const;
};

const char* name_of(Settings::ParamDtype dtype);  // "fp32"

struct Override {
  std::string key;    // training.steps
  std::string value;  // YAML
};

// Throws Error(missing_input) when the file is not there or cannot be read, and Error(configuration) with every error
// on a line of its own, as "train.yaml:14:3: unknown key training.micro_bacth (did you mean micro_batch_size?)".
// A later override of the same key wins.
Settings read_settings(const std::string& path, const std::vector<Override>& overrides = {});

// What must hold between keys, whatever the number of ranks. One message per contradiction, without a position.
struct Contradiction {
  std::vector<std::string> keys;  // that take part; the first is the one to change
  std::string message;
};
std::vector<Contradiction> validate(const Settings& settings);

// Micro-batches of a rank and step: global_batch_size = micro_batch_size x this x ranks, or Error(configuration) that prints
// the sum and which values would do. REQUIRES ranks >= 1.
int micro_batches_of(const Settings& settings, int ranks);

// Every key with its value and, as a comment, its origin. Reads back to equal settings.
std::string resolved_yaml(const Settings& settings, const std::string& header = "The configuration as it ran, each value with its origin.");

// Equal on ranks whose settings are equal; origins do not count. FNV-1a, 64 bits, of the resolved keys and values.
uint64_t fingerprint(const Settings& settings);

}  // namespace zerorun
