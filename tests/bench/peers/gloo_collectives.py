"""What collectives of torch.distributed over gloo take: the lines of collectives_bench.cpp, of the same work, measured the same way.

    torchrun --nproc-per-node 2 gloo_collectives.py --bytes 4194304,... --repeats 7 --out LINES.jsonl

all_gather_into_tensor and reduce_scatter_tensor, which are what FSDP2 calls.
"""
import rank
import argparse
import json
import pathlib
import statistics
import time

import torch
import torch.distributed as dist


def time_of(repeats, collective):
    seconds = []
    for _ in range(repeats):
        dist.barrier()
        start = time.perf_counter()
        collective()
        slowest = torch.tensor([time.perf_counter() - start], dtype=torch.float64)
        dist.all_reduce(slowest, dist.ReduceOp.MAX)
        seconds.append(slowest.item())
    return seconds


def line(collective, dtype, full, seconds):
    return {"collective": collective, "dtype": dtype, "bytes": full.numel() * full.element_size(), "best": min(seconds),
            "median": statistics.median(seconds)}


def measure(count, dtype, repeats):
    number = {"fp32": torch.float32, "bf16": torch.bfloat16}[dtype]
    piece, full = (torch.full((elements,), rank.RANK + 1, dtype=number) for elements in (count, count * rank.WORLD))

    def reduce():
        dist.reduce_scatter_tensor(piece, full)

    def gather():
        dist.all_gather_into_tensor(full, piece)

    reduce()
    assert (piece == rank.WORLD * (rank.WORLD + 1) / 2).all()
    yield line("reduce_scatter", dtype, full, time_of(repeats, reduce))
    piece.fill_(rank.RANK + 1)
    gather()
    assert (full[-count:] == rank.WORLD).all()
    yield line("all_gather", dtype, full, time_of(repeats, gather))
    own = full[rank.RANK * count:][:count]
    yield line("all_gather in place", dtype, full, time_of(repeats, lambda: dist.all_gather_into_tensor(full, own)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bytes", required=True)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    lines = [found for size in arguments.bytes.split(",") for dtype in ("fp32", "bf16")
             for found in measure(int(size) // 4 // rank.WORLD, dtype, arguments.repeats)]
    if rank.RANK == 0:
        pathlib.Path(arguments.out).write_text("".join(json.dumps(found) + "\n" for found in lines), encoding="utf-8")
    dist.destroy_process_group()


main()
