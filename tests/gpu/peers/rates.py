"""What a GPU does in a second, by PyTorch: matrix products in bf16, copies from and to pinned host memory, the fused AdamW.

    rates.py gemm|copies|adamw [--device cuda|cpu]      prints one JSON object
"""
import argparse
import json
import time

import torch

REPEATS = 20


def seconds_of(work, device, repeats=REPEATS):
    """The median of several runs, after three that are not counted."""
    def synchronize():
        if device == "cuda":
            torch.cuda.synchronize()

    taken = []
    for _ in range(3 + repeats):
        synchronize()
        start = time.perf_counter()
        work()
        synchronize()
        taken.append(time.perf_counter() - start)
    return sorted(taken[3:])[repeats // 2]


def gemm(device):
    """TFLOP/s of square products and of those of GPT-2 XL's MLP over 8192 tokens; the best is the GPU's rate."""
    sizes = [(256, 256, 256)] if device == "cpu" else [(4096, 4096, 4096), (8192, 8192, 8192), (16384, 8192, 8192), (8192, 6400, 1600), (8192, 1600, 6400)]
    rates = {}
    for m, n, k in sizes:
        a, b = torch.randn(m, k, device=device, dtype=torch.bfloat16), torch.randn(k, n, device=device, dtype=torch.bfloat16)
        rates[f"{m}x{n}x{k}"] = 2 * m * n * k / seconds_of(lambda: a @ b, device) / 1e12
    return {"tflops": rates, "best": max(rates.values())}


def copies(device):
    """GB/s of 1 GiB each way, alone and both at once."""
    count = 1 << (20 if device == "cpu" else 30)
    pin = device == "cuda"
    up, down = (torch.empty(count, dtype=torch.uint8, pin_memory=pin) for _ in range(2))
    there, back = (torch.empty(count, dtype=torch.uint8, device=device) for _ in range(2))
    if not pin:
        rates = {"host_to_device": seconds_of(lambda: there.copy_(up), device), "device_to_host": seconds_of(lambda: down.copy_(back), device)}
        return {name: count / taken / 1e9 for name, taken in rates.items()}
    streams = [torch.cuda.Stream() for _ in range(2)]

    def to_device():
        with torch.cuda.stream(streams[0]):
            there.copy_(up, non_blocking=True)

    def to_host():
        with torch.cuda.stream(streams[1]):
            down.copy_(back, non_blocking=True)

    def both():
        to_device()
        to_host()

    return {"host_to_device": count / seconds_of(to_device, device) / 1e9, "device_to_host": count / seconds_of(to_host, device) / 1e9,
            "duplex_sum": 2 * count / seconds_of(both, device) / 1e9}


def adamw(device):
    """The fused AdamW over parameters in fp32: it reads 16 bytes of each and writes 12."""
    count = 1 << (20 if device == "cpu" else 28)
    parameter = torch.nn.Parameter(torch.zeros(count, device=device))
    parameter.grad = torch.ones_like(parameter)
    optimizer = torch.optim.AdamW([parameter], lr=1e-4, fused=True)
    taken = seconds_of(optimizer.step, device)
    return {"parameters": count, "seconds": taken, "parameters_per_second": count / taken, "gb_per_second": 28 * count / taken / 1e9}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("gemm", "copies", "adamw"))
    parser.add_argument("--device", default="cuda")
    arguments = parser.parse_args()
    print(json.dumps({"gemm": gemm, "copies": copies, "adamw": adamw}[arguments.what](arguments.device)))


main()
