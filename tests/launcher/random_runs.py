"""Random configurations that train on a processor in seconds, and the program that runs them. The same seed gives the same ones."""
import json
import os
import pathlib
import random
import subprocess

ENVIRONMENT = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "CUDA_VISIBLE_DEVICES": ""}
MIB = 1 << 20


class Run:
    """A configuration as keys of --set, on some ranks."""

    def __init__(self, draw, ranks=None, large=None):
        large = draw.random() < 0.5 if large is None else large
        heads = draw.choice((2, 4, 8))
        hidden = heads * 2 * draw.randint(*((32, 48) if large else (5, 20)))
        self.ranks = ranks or draw.randint(1, 4)
        micro = draw.randint(1, 8 if large else 5)
        self.settings = {
            "run.threads": 1,
            "model.vocab_size": draw.choice((256, 1000, 8192, 30011)) if large else draw.randint(256, 700),
            "model.hidden_size": hidden,
            "model.num_hidden_layers": draw.randint(4, 8) if large else draw.randint(1, 4),
            "model.num_attention_heads": heads,
            "model.max_position_embeddings": 256,
            "training.steps": 2,
            "training.micro_batch_size": micro,
            "training.global_batch_size": micro * self.ranks * draw.choice((1, 1, 2, 3, 5, 9) if large else (1, 2, 3, 7, 40)),
            "training.seq_len": draw.randint(64, 256) if large else draw.randint(5, 100),
            "optimizer.name": draw.choice(("AdamW", "AdamW", "SGD")),
            "optimizer.lr": 1e-3,
            "zero_optimization.stage": draw.randint(0, 3),
            "zero_optimization.prefetch": draw.randint(0, 2),
            "activation_checkpoint.mode": draw.choice(("none", "full")),
            "run.determinism": draw.choice(("fast", "strict")),
        }
        if draw.random() < 0.5:
            self.settings |= {"model.family": "llama", "model.num_key_value_heads": heads // draw.choice((1, 2)), "model.intermediate_size": draw.randint(hidden, 3 * hidden)}
        else:
            self.settings |= {"model.dropout": draw.choice((0, 0.1)), "model.tie_word_embeddings": draw.choice(("true", "false"))}
        if not large:  # slow without instructions for them
            self.settings |= {"precision.param_dtype": draw.choice(("fp32", "fp32", "bf16", "fp16")), "precision.reduce_dtype": draw.choice(("fp32", "bf16"))}
        if self.settings["zero_optimization.stage"] == 3 and draw.random() < 0.4:
            self.settings |= self.asleep("zero_optimization.offload_param", draw)
        if draw.random() < 0.4:
            self.settings |= self.asleep("zero_optimization.offload_optimizer", draw)
        if self.settings["activation_checkpoint.mode"] == "full" and draw.random() < 0.3:
            self.settings |= {"activation_checkpoint.offload": draw.choice(("cpu", "nvme")), "activation_checkpoint.path": "."}

    @staticmethod
    def asleep(key, draw):
        return {f"{key}.device": draw.choice(("cpu", "nvme")), f"{key}.path": ".", f"{key}.overlap": draw.choice(("true", "false"))}

    def words(self):
        short = {"zero_optimization.": "", "activation_checkpoint.": "activation.", "training.": "", "model.": "", "optimizer.": "", "precision.": "", "run.": ""}
        text = " ".join(f"{key}={value}" for key, value in self.settings.items())
        for long, brief in short.items():
            text = text.replace(long, brief)
        return f"{self.ranks} ranks: {text}"


class Folder:
    """Where a configuration lies beside its data, and runs."""

    def __init__(self, path, program, mpirun):
        self.path, self.program, self.mpirun = pathlib.Path(path).resolve(), str(pathlib.Path(program).resolve()), mpirun
        (self.path / "text.txt").write_text("A plan says what a run will take, and the run says whether it did. " * 4000, encoding="utf-8")
        (self.path / "base.yaml").write_text("run: {name: base}\ndata: {train: text.txt, format: bytes}\n", encoding="utf-8")

    def execute(self, *arguments, ranks=0, settings=(), group=None, seconds=300):
        """(status, output, errors); `group`: of memory, whose processes it and its ranks join."""
        launcher = [self.mpirun, "--oversubscribe", "--bind-to", "none", "-np", str(ranks)] if ranks else []
        limited = ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh"] if group else []
        sets = [word for key, value in dict(settings).items() for word in ("--set", f"{key}={value}")]
        done = subprocess.run([*limited, *launcher, self.program, *arguments, *sets], cwd=self.path, env=ENVIRONMENT | {"ZERORUN_RATES": str(self.path / "rates.json")}, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False)
        return done.returncode, done.stdout, done.stderr

    def report(self, run="runs/base"):
        return json.loads((self.path / run / "report.json").read_text(encoding="utf-8"))


def generator(seed):
    return random.Random(f"zerorun {seed}")
