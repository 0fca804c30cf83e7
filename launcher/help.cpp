#include "launcher/command_line.h"

namespace zerorun {

std::string help_text() {
  return R"(zerorun trains transformer models sharded over MPI ranks (ZeRO stages 0-3).

  mpirun -np 8 zerorun train.yaml        train; `zerorun train train.yaml` is the same
  zerorun evaluate train.yaml            loss and perplexity over the validation split, of the
                                         weights of model.hf_path
  zerorun generate --hf DIR --prompt T   go on from a text, with the weights of a run or of a
                                         Hugging Face folder
  zerorun plan train.yaml --ranks 8      memory and traffic of that run, without running it
  zerorun plan train.yaml --ranks 8 --search
                                         the fastest way to train it that fits
  zerorun estimate --model 7b --ranks 8  memory, traffic and inference of a model by name or
                                         config.json, without a configuration
  zerorun report runs/train              a page of a run that has ended, report.html in its folder:
                                         memory, loss, time, traffic
  zerorun bench ladder                   a training of a GPT-2 made cheaper rung by rung on this
                                         machine: memory and time
  zerorun bench offload train.yaml       its training and inference with nothing asleep, with moves
                                         it waits for, and with moves beside it
  zerorun bench inference train.yaml     how long its model takes for a prompt and for each token
                                         after it, the memory, and room for keys and values
  zerorun bench rates                    what this machine moves and computes in a second: memory, a
                                         disk, matrix products, updates
  zerorun schema                         the JSON Schema of the file, for editors and checks
  zerorun env [--json]                   what a report of a problem should say of this machine and
                                         build
  mpirun -np 2 zerorun env --timing      what takes the time from mpirun to the first step, here

evaluate, generate, bench ladder, offload and inference run under mpirun too.

Options
  --set KEY=VALUE     overrides a key of the file, such as --set training.steps=5; may be repeated
  --json              evaluate, generate, plan, estimate, env, bench: as JSON
  --help, -h          this text
  --version           the version

Options of plan
  --ranks N           the number of ranks; --hosts H: that they sit on, 1 unless set
  --search            tries every way to shard, sleep and compute again
    --device NAME     on such GPUs (h100, a100, ...), or --rates FILE: by what bench rates left
    --device-memory SIZE                  of a GPU
    --host-memory SIZE, --disk SIZE       of a host, for all its ranks
    --write FILE      the best plan, as a configuration that runs

Options of report
  --out FILE          where the page goes

Options of bench
  ladder              --preset NAME: the model, mingpt-gpt2-large-sort unless set; or
                      --hidden-size N --layers N --heads N; --batch N: samples of a step, 128;
                      --seq-len N: tokens of a sample, 11; --steps N: of each rung, 3;
                      --rows NAMES: some of whole,half,quarter,accumulation,recompute,
                      momentum,sgd,bf16,sharded,sharded-bf16,sharded-offload,bf16-offload,offload
  offload             --steps N: that are timed, 3
  inference           --requests R: that are timed, 10, after one that is not; --batch N: samples of
                      each, 1; --prompt-tokens N: of a sample, 512; --new-tokens M: after them, 50;
                      --memory SIZE: of a rank, to see how many tokens' keys and values fit
  rates               --path FOLDER: on the disk to measure; --mib N: that are moved, 1024; --device
                      auto|cpu|cuda: a GPU, where there is one

Options of generate
  --hf DIR            a Hugging Face folder, or the folder of a finished run
  --prompt TEXT       for models over bytes (vocab_size 256); - reads standard input
  --tokens 1,2,3      token ids, for any model; what is generated is printed as ids too
  --max-tokens N      64; ends earlier where the context is full
  --temperature T     0: always the likeliest token; above it tokens are drawn
  --top-k K, --top-p P, --seed S
                      draw from the K likeliest, from those that make up P of the probability; the
                      same seed, the same text
  --param-dtype D     fp32, bf16 or fp16
  --offload cpu|nvme  the weights sleep in host memory, or on disk in --offload-path FOLDER, and
                      come unit by unit
  --no-cache          compute the whole text again for each token

Options of estimate
  --model NAME        such as 7b, gpt2-xl, llama-3-70b, opt-13b, mixtral, phi3, internvl2_5-2b
  --hf PATH           a config.json: gpt2, llama, opt, mistral, mixtral, qwen2, phi3, internlm2,
                      internvl_chat
  --params P          a count alone, such as 7.5e9
  --ranks N           or --gpus-per-node G --nodes M; 1 unless set
  --micro-batch B, --seq-len S
                      samples of a rank and tokens of a sample; 1, and 2048 or the most that
                      the model has
  --precision D       bf16 (unless set), fp16 or fp32; --reduce-dtype bf16|fp32: of gradients
  --device cpu|cuda   that the exact figures are of; cuda unless set
  --bandwidth B       bytes a second of the device's memory, such as 3.35e12, or a GPU that plan
                      --search knows (h100): bounds the tokens a second
  --slots S           blocks on the device at a time where weights stream, 2
  --compat deepspeed  DeepSpeed's table of stage 3, or of --stage 2, to the character, and what it
                      leaves out; of a count alone with --params P --largest-layer-params L
  --compat formulas   figures as they are commonly published beside the right ones; --params P: with
                      that count
  --unit GB           1e9 bytes, else GiB; bytes are printed exactly too

The keys of the file, the run folder and the exit codes are described in launcher/README.md.
)";
}

}  // namespace zerorun
