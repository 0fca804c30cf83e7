#include "launcher/settings_schema.h"

#include "core/weights/architecture_config.h"
#include "launcher/settings_values.h"

namespace zerorun {
namespace {

enum class Presence { optional, required };
constexpr Presence kRequired = Presence::required;

constexpr int64_t kMostSteps = 1'000'000'000;
constexpr int64_t kMostSequences = 65'536;
constexpr int64_t kMostTokens = 1'048'576;  // of a sequence
constexpr int64_t kMostWidth = 1'048'576;

// A member of a member: Group, then Member, or with a group in between.
template <auto First, auto... Rest>
auto& member(auto& object) {
  if constexpr (sizeof...(Rest) == 0) {
    return object.*First;
  } else {
    return member<Rest...>(object.*First);
  }
}

template <auto... Path, typename Kind>
Field field(std::string section, std::string name, Kind kind, Presence presence = Presence::optional) {
  return {
      .section = std::move(section),
      .name = std::move(name),
      .required = presence == kRequired,
      .expected = kind.expected(),
      .schema = kind.schema(),
      .read =
          [kind](Settings& settings, const YamlNode& node) {
            auto value = kind.parse(node);
            if (value) member<Path...>(settings) = *std::move(value);
            return value.has_value();
          },
      .write = [kind](const Settings& settings) { return kind.write(member<Path...>(settings)); },
      .hint = [kind](const YamlNode& node) { return kind.hint(node); },
  };
}

// Of the families that are trained; of the others it says what can be done with them.
struct FamilyChoice : Choice<Settings::Family> {
  std::string hint(const YamlNode& node) const {
    if (node.kind == YamlNode::Kind::scalar && is_family_for_estimates_only(node.text)) return "; zerorun can estimate such a model (zerorun estimate --help), but not train it";
    return Choice::hint(node);
  }
};

void add_run(std::vector<Field>& fields) {
  using Run = Settings::Run;
  constexpr auto run = &Settings::run;
  fields.push_back(field<run, &Run::name>("run", "name", FolderName{}));
  fields.push_back(field<run, &Run::dir>("run", "dir", Text{}));
  fields.push_back(field<run, &Run::seed>("run", "seed", Integer(0, INT64_MAX)));
  fields.push_back(field<run, &Run::determinism>("run", "determinism", Choice<Settings::Determinism>{{"fast", "strict"}}));
  fields.push_back(field<run, &Run::device>("run", "device", Choice<Settings::Device>{{"auto", "cpu", "cuda"}}));
  fields.push_back(field<run, &Run::threads>("run", "threads", Maybe{"auto", Integer(1, 1024)}));
}

void add_model(std::vector<Field>& fields) {
  using Model = Settings::Model;
  constexpr auto model = &Settings::model;
  const Maybe width{"null", Integer(1, kMostWidth)};
  fields.push_back(field<model, &Model::family>("model", "family", FamilyChoice{{{"gpt2", "llama"}}}));
  fields.push_back(field<model, &Model::preset>("model", "preset", Maybe{"null", Text{}}));
  fields.push_back(field<model, &Model::hf_path>("model", "hf_path", Maybe{"null", Text{}}));
  fields.push_back(field<model, &Model::vocab_size>("model", "vocab_size", Maybe{"null", Integer(1, 16'777'216)}));
  fields.push_back(field<model, &Model::hidden_size>("model", "hidden_size", width));
  fields.push_back(field<model, &Model::num_hidden_layers>("model", "num_hidden_layers", Maybe{"null", Integer(1, 10'000)}));
  fields.push_back(field<model, &Model::num_attention_heads>("model", "num_attention_heads", Maybe{"null", Integer(1, 4096)}));
  fields.push_back(field<model, &Model::num_key_value_heads>("model", "num_key_value_heads", Maybe{"null", Integer(1, 4096)}));
  fields.push_back(field<model, &Model::head_dim>("model", "head_dim", Maybe{"null", Integer(2, kMostWidth)}));
  fields.push_back(field<model, &Model::intermediate_size>("model", "intermediate_size", width));
  fields.push_back(field<model, &Model::max_position_embeddings>("model", "max_position_embeddings",
                                                                 Maybe{"null", Integer(1, kMostTokens)}));
  fields.push_back(field<model, &Model::tie_word_embeddings>("model", "tie_word_embeddings", Maybe{"null", Flag{}}));
  fields.push_back(field<model, &Model::dropout>("model", "dropout", Maybe{"null", Real(0, 1, false, true)}));
  fields.push_back(field<model, &Model::layer_norm_eps>("model", "layer_norm_eps", Maybe{"null", Real(0, 1, true)}));
  fields.push_back(field<model, &Model::rms_norm_eps>("model", "rms_norm_eps", Maybe{"null", Real(0, 1, true)}));
  fields.push_back(field<model, &Model::rope_theta>("model", "rope_theta", Maybe{"null", Real(0, 1e12, true)}));
  fields.push_back(field<model, &Model::frozen>("model", "frozen", TextList("a list of patterns such as transformer.h.[0-3].*", /*may_be_empty=*/true)));
}

void add_data(std::vector<Field>& fields) {
  using Data = Settings::Data;
  constexpr auto data = &Settings::data;
  fields.push_back(field<data, &Data::train>("data", "train", TextList("a path, a glob or a list of them"), kRequired));
  fields.push_back(field<data, &Data::validation>("data", "validation", Split{}));
  fields.push_back(field<data, &Data::format>("data", "format", Choice<Settings::Format>{{"auto", "bytes", "tokens_uint16"}}));
}

void add_training(std::vector<Field>& fields) {
  using Training = Settings::Training;
  constexpr auto training = &Settings::training;
  fields.push_back(field<training, &Training::steps>("training", "steps", Integer(1, kMostSteps), kRequired));
  fields.push_back(field<training, &Training::global_batch_size>("training", "global_batch_size",
                                                                 Integer(1, 16'777'216), kRequired));
  fields.push_back(field<training, &Training::micro_batch_size>("training", "micro_batch_size",
                                                                Integer(1, kMostSequences), kRequired));
  fields.push_back(field<training, &Training::seq_len>("training", "seq_len", Integer(1, kMostTokens), kRequired));
  fields.push_back(field<training, &Training::max_norm>("training", "max_norm", Real(0, 1e9)));
  fields.push_back(field<training, &Training::check_finite>("training", "check_finite", Flag{}));
  fields.push_back(field<training, &Training::eval_interval>("training", "eval_interval", Integer(0, kMostSteps)));
  fields.push_back(field<training, &Training::eval_batches>("training", "eval_batches", Integer(0, kMostSteps)));
}

void add_precision(std::vector<Field>& fields) {
  using Precision = Settings::Precision;
  using Fp16 = Precision::Fp16;
  constexpr auto precision = &Settings::precision;
  constexpr auto fp16 = &Precision::fp16;
  constexpr double kLargestScale = 4294967296;  // 2^32
  const char* inside = "precision.fp16";
  fields.push_back(field<precision, &Precision::param_dtype>("precision", "param_dtype", Choice<Settings::ParamDtype>{{"fp32", "bf16", "fp16"}}));
  fields.push_back(field<precision, &Precision::reduce_dtype>("precision", "reduce_dtype", Choice<Settings::ReduceDtype>{{"fp32", "bf16"}}));
  fields.push_back(field<precision, &Precision::tf32>("precision", "tf32", Flag{}));
  fields.push_back(field<precision, fp16, &Fp16::loss_scale>(inside, "loss_scale", Real(0, kLargestScale)));
  fields.push_back(field<precision, fp16, &Fp16::initial_scale_power>(inside, "initial_scale_power", Integer(0, 32)));
  fields.push_back(field<precision, fp16, &Fp16::loss_scale_window>(inside, "loss_scale_window", Integer(1, kMostSteps)));
  fields.push_back(field<precision, fp16, &Fp16::hysteresis>(inside, "hysteresis", Integer(1, 1000)));
  fields.push_back(field<precision, fp16, &Fp16::min_loss_scale>(inside, "min_loss_scale", Real(0, kLargestScale, true)));
}

void add_optimizer(std::vector<Field>& fields) {
  using Optimizer = Settings::Optimizer;
  using LrScheduler = Settings::LrScheduler;
  constexpr auto optimizer = &Settings::optimizer;
  constexpr auto scheduler = &Settings::lr_scheduler;
  fields.push_back(field<optimizer, &Optimizer::name>("optimizer", "name", Choice<Settings::OptimizerName>{{"AdamW", "SGD"}}));
  fields.push_back(field<optimizer, &Optimizer::lr>("optimizer", "lr", Real(0, 1000, true), kRequired));
  fields.push_back(field<optimizer, &Optimizer::betas>("optimizer", "betas", RealPair(Real(0, 1, false, true))));
  fields.push_back(field<optimizer, &Optimizer::eps>("optimizer", "eps", Real(0, 1, true)));
  fields.push_back(field<optimizer, &Optimizer::weight_decay>("optimizer", "weight_decay", Real(0, 1000)));
  fields.push_back(field<optimizer, &Optimizer::momentum>("optimizer", "momentum", Real(0, 1, false, true)));
  fields.push_back(field<optimizer, &Optimizer::stochastic_rounding>("optimizer", "stochastic_rounding", Flag{}));
  fields.push_back(field<scheduler, &LrScheduler::name>("lr_scheduler", "name",
                                                        Choice<Settings::Schedule>{{"cosine", "linear", "constant"}}));
  fields.push_back(field<scheduler, &LrScheduler::warmup_steps>("lr_scheduler", "warmup_steps", Integer(0, kMostSteps)));
  fields.push_back(field<scheduler, &LrScheduler::min_lr_factor>("lr_scheduler", "min_lr_factor", Real(0, 1)));
}

// What both ways to offload have.
template <auto What, typename Offload>
void add_offload(const char* section, std::vector<Field>& fields) {
  constexpr auto zero = &Settings::zero_optimization;
  fields.push_back(field<zero, What, &Offload::device>(section, "device", Choice<Settings::OffloadDevice>{{"none", "cpu", "nvme"}}));
  fields.push_back(field<zero, What, &Offload::path>(section, "path", Maybe{"null", Text{}}));
  fields.push_back(field<zero, What, &Offload::overlap>(section, "overlap", Flag{}));
}

void add_engine(std::vector<Field>& fields) {
  using Zero = Settings::ZeroOptimization;
  using Comm = Settings::Comm;
  using Memory = Settings::Memory;
  constexpr auto zero = &Settings::zero_optimization;
  using Checkpoint = Settings::ActivationCheckpoint;
  constexpr int64_t kWeek = 7 * 24 * 3600;
  fields.push_back(field<&Settings::activation_checkpoint, &Checkpoint::mode>("activation_checkpoint", "mode",
                                                                              Choice<Settings::Checkpointing>{{"none", "full"}}));
  fields.push_back(field<&Settings::activation_checkpoint, &Checkpoint::offload>("activation_checkpoint", "offload",
                                                                                 Choice<Settings::OffloadDevice>{{"none", "cpu", "nvme"}}));
  fields.push_back(field<&Settings::activation_checkpoint, &Checkpoint::path>("activation_checkpoint", "path", Maybe{"null", Text{}}));
  fields.push_back(field<zero, &Zero::stage>("zero_optimization", "stage", Integer(0, 3)));
  fields.push_back(field<zero, &Zero::prefetch>("zero_optimization", "prefetch", Integer(0, 64)));
  fields.push_back(field<zero, &Zero::verify_extents>("zero_optimization", "verify_extents", Flag{}));
  add_offload<&Zero::offload_param, Zero::OffloadParam>("zero_optimization.offload_param", fields);
  fields.push_back(field<zero, &Zero::offload_param, &Zero::OffloadParam::buffer_count>("zero_optimization.offload_param", "buffer_count", Integer(2, 64)));
  add_offload<&Zero::offload_optimizer, Zero::OffloadOptimizer>("zero_optimization.offload_optimizer", fields);
  fields.push_back(field<zero, &Zero::offload_optimizer, &Zero::OffloadOptimizer::ratio>("zero_optimization.offload_optimizer", "ratio", Real(0, 1)));
  fields.push_back(field<&Settings::comm, &Comm::backend>("comm", "backend", Choice<Settings::Backend>{{"auto", "mpi", "nccl"}}));
  fields.push_back(field<&Settings::comm, &Comm::timeout_seconds>("comm", "timeout_seconds", Seconds(1, kWeek)));
  fields.push_back(field<&Settings::comm, &Comm::pretend_hosts>("comm", "pretend_hosts", Integer(1, 65'536)));
  fields.push_back(field<&Settings::comm, &Comm::check_every_collective>("comm", "check_every_collective", Flag{}));
  fields.push_back(field<&Settings::comm, &Comm::allow_shared_gpu>("comm", "allow_shared_gpu", Flag{}));
  fields.push_back(field<&Settings::metrics, &Settings::Metrics::log_freq>("metrics", "log_freq", Integer(1, kMostSteps)));
  fields.push_back(field<&Settings::metrics, &Settings::Metrics::export_hf>("metrics", "export_hf", Flag{}));
  fields.push_back(field<&Settings::metrics, &Settings::Metrics::trace_steps>("metrics", "trace_steps", Integer(0, 1000)));
  fields.push_back(field<&Settings::memory, &Memory::limit>("memory", "limit",
                                                            Maybe{"null", Size(int64_t{1} << 20, int64_t{1} << 50)}));
  fields.push_back(field<&Settings::memory, &Memory::fail_if_predicted_over>("memory", "fail_if_predicted_over", Flag{}));
}

std::vector<Field> make_schema() {
  std::vector<Field> fields;
  add_run(fields);
  add_model(fields);
  add_data(fields);
  add_training(fields);
  add_precision(fields);
  add_optimizer(fields);
  add_engine(fields);
  return fields;
}

}  // namespace

const std::vector<Field>& settings_schema() {
  static const std::vector<Field> schema = make_schema();
  return schema;
}

}  // namespace zerorun
