"""Both sides of a comparison: how zerorun and its peers are launched, each rank on a core of its own, and what a result is called.
For the scripts of this folder."""
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
PEERS = HERE / "peers"
GPT = {"layers": 6, "hidden": 512, "heads": 8, "vocabulary": 8192, "positions": 512}


def peer_python():
    """The Python that has PyTorch; installed at first use."""
    return subprocess.run([PEERS / "install.sh"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def run(command, environment):
    """Runs it quietly; what it printed is shown when it fails."""
    done = subprocess.run([str(word) for word in command], env={**os.environ, **environment}, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(str(word) for word in command)}\n{done.stdout}\nended with {done.returncode}")
    return done.stdout


def mpirun(ranks, command):
    """One rank per core, which OpenMPI does by itself for two ranks; more ranks than cores are left to the kernel."""
    binding = ["--bind-to", "core"] if ranks <= os.cpu_count() else ["--oversubscribe", "--bind-to", "none"]
    return run(["mpirun", "-np", ranks, *binding, *command], {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
                                                              "OMP_NUM_THREADS": "1"})


def torchrun(ranks, command):
    """As torchrun launches it; the peer binds itself (peers/rank.py), and uses one thread."""
    return run([peer_python(), "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", ranks, *command], {"OMP_NUM_THREADS": "1"})


def write_training(folder, tokens, ranks, stage, steps):
    """The GPT-2 of the comparisons as a configuration of zerorun, with random tokens to train on. Returns its path."""
    text = folder / "tokens.u16"
    if not text.exists():
        state, numbers = 1, bytearray()
        for _ in range(1 << 17):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            numbers += ((state >> 40) % GPT["vocabulary"]).to_bytes(2, "little")
        text.write_bytes(numbers)
    path = folder / "train.yaml"
    path.write_text(
        f"""run: {{name: step, dir: {folder}/run, threads: 1}}
model: {{family: gpt2, vocab_size: {GPT["vocabulary"]}, hidden_size: {GPT["hidden"]}, num_hidden_layers: {GPT["layers"]},
        num_attention_heads: {GPT["heads"]}, max_position_embeddings: {GPT["positions"]}, tie_word_embeddings: false}}
data: {{train: {text}, format: tokens_uint16}}
training: {{steps: {steps}, global_batch_size: {ranks}, micro_batch_size: 1, seq_len: {tokens}, max_norm: 1.0}}
optimizer: {{name: AdamW, lr: 1.0e-4, betas: [0.9, 0.95], eps: 1.0e-8, weight_decay: 0.1}}
lr_scheduler: {{name: constant, warmup_steps: 0}}
zero_optimization: {{stage: {stage}}}
metrics: {{export_hf: false}}
""", encoding="utf-8")
    return path


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return "unknown"


def machine():
    flags = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
    sets = [name for name in ("avx2", "avx512f", "amx_bf16") if f" {name}" in flags]
    return {"processor": processor(), "cores": os.cpu_count(), "instructions": sets, "load_before": os.getloadavg()[0],
            "date": datetime.date.today().isoformat()}


def best_and_median(seconds):
    return {"best": min(seconds), "median": statistics.median(seconds)}


def write_result(result, path):
    if path:
        pathlib.Path(path).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    else:
        print(json.dumps(result))
