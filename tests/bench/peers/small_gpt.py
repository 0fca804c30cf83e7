"""The training of tests/bench/small_result.yaml in plain PyTorch: the same model, optimizer and schedule, on one process.

    small_gpt.py --data TEXT --seed N [--steps 2000] [--tied]

Prints one JSON line. Initial weights and the order of the data come from PyTorch's own generator: results agree in the mean
over seeds, not number by number.
"""

import argparse
import json
import math
import time

import torch
from torch import nn
from torch.nn import functional as F

LAYERS, HEADS, WIDTH, CONTEXT, VOCAB = 4, 4, 128, 64, 256
BATCH, LR, MIN_LR, WARMUP = 12, 1e-3, 1e-4, 100
BETAS, EPS, DECAY, MAX_NORM = (0.9, 0.99), 1e-8, 0.1, 1.0
VALIDATION_FRACTION = 0.1


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.c_attn, self.attn_c_proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.c_fc, self.mlp_c_proj = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        batch, length, _ = x.shape
        q, k, v = (part.view(batch, length, HEADS, -1).transpose(1, 2) for part in self.c_attn(self.ln_1(x)).split(WIDTH, 2))
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attn_c_proj(attended.transpose(1, 2).reshape(x.shape))
        return x + self.mlp_c_proj(F.gelu(self.c_fc(self.ln_2(x)), approximate="tanh"))


class Gpt(nn.Module):
    def __init__(self, tied):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(VOCAB, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.ln_f, self.lm_head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCAB, bias=False)
        if tied:
            self.lm_head.weight = self.wte.weight
        for name, parameter in self.named_parameters():
            if parameter.dim() >= 2:
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * LAYERS) if "c_proj" in name else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, tokens, targets):
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1]))
        return F.cross_entropy(self.lm_head(self.ln_f(self.blocks(x))).flatten(0, 1), targets.flatten())


def windows_of(tokens):
    """All windows of CONTEXT tokens that do not overlap, with their targets: [windows, CONTEXT] twice."""
    count = (len(tokens) - 1) // CONTEXT
    return tokens[: count * CONTEXT].view(count, CONTEXT), tokens[1 : count * CONTEXT + 1].view(count, CONTEXT)


def learning_rate(step, steps):
    if step < WARMUP:
        return LR * (step + 1) / WARMUP
    progress = (step - WARMUP) / max(1, steps - 1 - WARMUP)
    return MIN_LR + (LR - MIN_LR) * 0.5 * (1 + math.cos(math.pi * progress))


def sample_batches(windows, generator):
    """Endless batches of window numbers; every epoch has its own order, and a batch may span two."""
    pending = torch.empty(0, dtype=torch.long)
    while True:
        while len(pending) < BATCH:
            pending = torch.cat([pending, torch.randperm(windows, generator=generator)])
        yield pending[:BATCH]
        pending = pending[BATCH:]


@torch.no_grad()
def validation_loss(model, tokens, targets):
    total = sum(model(t, y).item() * y.numel() for t, y in zip(tokens.split(BATCH), targets.split(BATCH)))
    return total / targets.numel()


def train(data, seed, steps, tied):
    torch.manual_seed(seed)
    text = torch.frombuffer(bytearray(open(data, "rb").read()), dtype=torch.uint8).long()
    held_out = int(len(text) * VALIDATION_FRACTION)
    tokens, targets = windows_of(text[:-held_out])
    model = Gpt(tied)
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": DECAY}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LR, betas=BETAS, eps=EPS)
    batches = sample_batches(len(tokens), torch.Generator().manual_seed(seed))
    losses, start = [], time.perf_counter()
    for step, batch in zip(range(steps), batches):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps)
        loss = model(tokens[batch], targets[batch])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
        optimizer.step()
        losses.append(loss.item())
    seconds = time.perf_counter() - start
    return {
        "seed": seed, "steps": steps, "parameters": sum(p.numel() for p in model.parameters()), "first_loss": losses[0],
        "last_loss": losses[-1], "validation_loss": validation_loss(model, *windows_of(text[-held_out:])), "seconds": seconds,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--tied", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(json.dumps(train(arguments.data, arguments.seed, arguments.steps, arguments.tied)))
