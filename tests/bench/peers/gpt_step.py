"""Training steps of a GPT-2 in plain PyTorch over gloo, sharded by FSDP2 or replicated by DDP: forward, backward, clip, AdamW.

    torchrun --nproc-per-node 2 gpt_step.py --mode fsdp2|ddp --tokens 32,128,512 --steps 20 --out RESULT.json [--first-step FILE]

FSDP2: one unit per block and the root, declared on the meta device and filled shard by shard, so that no rank holds the whole. RESULT.json
has rank 0's seconds of every step, by number of tokens. FILE is written when the first step has ended: its time is that moment.
"""
import rank  # noqa: F401, first: it binds
import argparse
import json
import math
import pathlib
import time

import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F

LAYERS, HIDDEN, HEADS, VOCABULARY, POSITIONS = 6, 512, 8, 8192, 512


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(HIDDEN), nn.LayerNorm(HIDDEN)
        self.c_attn, self.c_proj = nn.Linear(HIDDEN, 3 * HIDDEN), nn.Linear(HIDDEN, HIDDEN)
        self.mlp_c_fc, self.mlp_c_proj = nn.Linear(HIDDEN, 4 * HIDDEN), nn.Linear(4 * HIDDEN, HIDDEN)

    def forward(self, x):
        batch, length, _ = x.shape
        q, k, v = (part.view(batch, length, HEADS, -1).transpose(1, 2) for part in self.c_attn(self.ln_1(x)).split(HIDDEN, 2))
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.c_proj(attended.transpose(1, 2).reshape(x.shape))
        return x + self.mlp_c_proj(F.gelu(self.mlp_c_fc(self.ln_2(x)), approximate="tanh"))


class Gpt(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(VOCABULARY, HIDDEN), nn.Embedding(POSITIONS, HIDDEN)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.ln_f, self.lm_head = nn.LayerNorm(HIDDEN), nn.Linear(HIDDEN, VOCABULARY, bias=False)

    def forward(self, tokens, targets):
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return F.cross_entropy(self.lm_head(self.ln_f(x)).flatten(0, 1), targets.flatten())


@torch.no_grad()
def fill(model):
    for name, parameter in model.named_parameters():
        local = parameter.to_local() if hasattr(parameter, "to_local") else parameter
        if parameter.dim() >= 2:
            local.normal_(std=0.02 / math.sqrt(2 * LAYERS) if "c_proj" in name else 0.02)
        else:
            local.fill_(1.0 if name.endswith("weight") else 0.0)


def make_model(mode):
    with torch.device("meta"):
        model = Gpt()
    if mode == "fsdp2":
        from torch.distributed.fsdp import fully_shard

        for block in model.blocks:
            fully_shard(block)
        fully_shard(model)
    model.to_empty(device="cpu")
    fill(model)
    return nn.parallel.DistributedDataParallel(model, gradient_as_bucket_view=True) if mode == "ddp" else model


def train_step(model, optimizer, tokens):
    window = torch.randint(VOCABULARY, (1, tokens + 1))
    start = time.perf_counter()
    loss = model(window[:, :-1], window[:, 1:])
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    loss.item()
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", choices=("fsdp2", "ddp"), required=True)
    parser.add_argument("--tokens", required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--first-step")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    dist.init_process_group("gloo")
    model = make_model(arguments.mode)
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}], lr=1e-4, betas=(0.9, 0.95),
                                  fused=True)
    torch.manual_seed(100 + rank.RANK)
    seconds = {}
    for tokens in arguments.tokens.split(","):
        seconds[tokens] = []
        for _ in range(arguments.steps):
            seconds[tokens].append(train_step(model, optimizer, int(tokens)))
            if arguments.first_step and rank.RANK == 0 and len(seconds) == len(seconds[tokens]) == 1:
                pathlib.Path(arguments.first_step).write_text("done\n", encoding="utf-8")
    if rank.RANK == 0:
        pathlib.Path(arguments.out).write_text(json.dumps(seconds), encoding="utf-8")
    dist.destroy_process_group()


main()
