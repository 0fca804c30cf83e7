"""The training of bench.py in plain PyTorch on one GPU: eager, compiled, or as FSDP2 with one rank.

    train.py --preset gpt2_124m --mode eager|compile|fsdp2 --start FOLDER --out RESULT.json [--steps 26] [--device cuda|cpu] [--param-dtype bf16|fp32]

FOLDER is what start.py wrote. Weights, activations and gradients are in bf16, masters and moments of AdamW in fp32: eager and compiled keep the masters
beside the weights, FSDP2 keeps its parameters in fp32 and casts what it gathers. compile takes the model as a whole, or block by block where it has more
than 24. RESULT.json has the losses, the seconds of every step and the peaks of memory.
"""
import argparse
import json
import os
import pathlib
import time

import torch
from torch import nn

from order import windows_of_step
from presets import PRESETS
from start import load, model_of

LR, BETAS, EPSILON, DECAY, MAX_NORM, SEED = 3e-4, (0.9, 0.95), 1e-8, 0.1, 1.0, 42
WHOLE_MODEL_BLOCKS = 24


def adamw(parameters):
    groups = [{"params": [p for p in parameters if p.dim() >= 2], "weight_decay": DECAY},
              {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=LR, betas=BETAS, eps=EPSILON, fused=True)


class Masters:
    """Updates fp32 copies of the weights and rounds them to the weights; of weights in fp32 there is no copy."""

    def __init__(self, model):
        self.weights = list(model.parameters())
        self.apart = self.weights[0].dtype != torch.float32
        self.masters = [nn.Parameter(weight.detach().float()) for weight in self.weights] if self.apart else self.weights
        self.optimizer = adamw(self.masters)

    def load(self, model, folder):
        """The masters have what the file has, and the weights are those rounded."""
        load(model, folder)
        if self.apart:
            named = _Named(dict(zip((name for name, _ in model.named_parameters()), self.masters)))
            load(named, folder)

    @torch.no_grad()
    def step(self):
        if self.apart:
            for master in self.masters:
                if master.grad is None:
                    master.grad = torch.empty_like(master)
            torch._foreach_copy_([master.grad for master in self.masters], [weight.grad for weight in self.weights])
        norm = nn.utils.clip_grad_norm_(self.masters, MAX_NORM)
        self.optimizer.step()
        if self.apart:
            torch._foreach_copy_(self.weights, self.masters)
        for weight in self.weights:
            weight.grad = None
        return norm


class _Named:
    def __init__(self, parameters):
        self.parameters = parameters

    def named_parameters(self):
        return self.parameters.items()


class Sharded:
    def __init__(self, model, param_dtype):
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        policy = MixedPrecisionPolicy(param_dtype=param_dtype, reduce_dtype=param_dtype)
        for block in model.blocks:
            fully_shard(block, mp_policy=policy)
        fully_shard(model, mp_policy=policy)
        self.model = model
        self.optimizer = adamw(list(model.parameters()))

    def load(self, model, folder):
        load(model, folder)

    def step(self):
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), MAX_NORM)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return norm


def start_group(device):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=os.environ.get("MASTER_PORT", "29533"), RANK="0", WORLD_SIZE="1", LOCAL_RANK="0")
    torch.distributed.init_process_group("gloo" if device == "cpu" else "nccl")


def make(arguments, sizes, dtype):
    """The model to train with its optimizer, and what computes its loss."""
    with torch.device(arguments.device):
        model = model_of(sizes)
    if arguments.mode == "fsdp2":
        start_group(arguments.device)
        trained = Sharded(model, dtype)
    else:
        model.to(dtype)
        trained = Masters(model)
    trained.load(model, arguments.start / "hf")
    if arguments.mode != "compile":
        return trained, model
    if len(model.blocks) <= WHOLE_MODEL_BLOCKS:
        return trained, torch.compile(model)
    for block in model.blocks:
        block.compile()
    return trained, model


def read_batches(path, sizes, steps, pinned):
    """All of them before the first step: which windows a step reads takes Python longer than it takes a GPU to wait for."""
    tokens = torch.from_file(str(path), shared=False, size=path.stat().st_size // 2, dtype=torch.uint16).to(torch.int64)
    length = sizes["positions"]
    windows = (len(tokens) - 1) // length
    batches = []
    for step in range(steps):
        rows = torch.stack([tokens[w * length:(w + 1) * length + 1] for w in windows_of_step(SEED, step, sizes["batch"], windows)])
        batch = rows[:, :-1].contiguous(), rows[:, 1:].contiguous()
        batches.append(tuple(part.pin_memory() for part in batch) if pinned else batch)
    return batches


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--preset", choices=PRESETS, required=True)
    parser.add_argument("--mode", choices=("eager", "compile", "fsdp2"), required=True)
    parser.add_argument("--start", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--steps", type=int, default=26)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--param-dtype", choices=("bf16", "fp32"), default="bf16")
    arguments = parser.parse_args()
    sizes = {**PRESETS[arguments.preset], **({"batch": arguments.batch} if arguments.batch else {})}
    dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[arguments.param_dtype]
    torch.backends.cuda.matmul.allow_tf32 = False
    trained, loss_of = make(arguments, sizes, dtype)
    batches = read_batches(arguments.start / "tokens.u16", sizes, arguments.steps, arguments.device == "cuda")
    if arguments.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    losses, seconds = [], []
    for batch in batches:
        start = time.perf_counter()
        loss = loss_of(*(part.to(arguments.device, non_blocking=True) for part in batch))
        loss.backward()
        trained.step()
        losses.append(loss.item())
        if arguments.device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    result = {"mode": arguments.mode, "torch": torch.__version__, "losses": losses, "seconds": seconds}
    if arguments.device == "cuda":
        free, total = torch.cuda.mem_get_info()
        result["memory"] = {"allocated": torch.cuda.max_memory_allocated(), "reserved": torch.cuda.max_memory_reserved(), "free_at_end": free,
                            "total": total}
    arguments.out.write_text(json.dumps(result) + "\n", encoding="utf-8")
    if arguments.mode == "fsdp2":
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
