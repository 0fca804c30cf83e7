#!/usr/bin/env python3
"""How long from `mpirun` to the end of the first training step, and how much memory a rank takes, with zerorun at stage 3 beside torchrun with FSDP2: the
model and the step of train_step.py with 512 tokens, 2 ranks.

    tests/bench/startup.py PATH/TO/zerorun [RESULT.json] [--rounds 5]

The end of the first step is the time of the file that either side writes at that moment (zerorun: metrics.jsonl of a run of one step). Memory is the
largest rank's over 5 steps, resident and proportional (peers/rank_memory.py). Best of all rounds, the sides in turn; the first round of each warms the
page cache and is left out. About 4 minutes on 2 cores. Fails when zerorun takes more than 1.5 s, a quarter of FSDP2's time, or 0.75 of its memory.
"""
import argparse
import json
import pathlib
import statistics
import sys
import tempfile
import time

import sides

RANKS, TOKENS = 2, 512
ASKED = {"seconds": 1.5, "times_faster": 4.0, "memory_share": 0.75}


def zerorun_command(program, folder, steps, wrapper=()):
    return lambda: sides.mpirun(RANKS, [*wrapper, program, sides.write_training(folder, TOKENS, RANKS, 3, steps)]), folder / "run" / "metrics.jsonl"


def fsdp2_command(folder, steps, wrapper=()):
    first = folder / "first_step"
    peer = [sides.PEERS / "gpt_step.py", "--mode", "fsdp2", "--tokens", TOKENS, "--steps", steps, "--out", folder / "out.json", "--first-step", first]
    return lambda: sides.torchrun(RANKS, [*(("--no-python", *wrapper, sides.peer_python()) if wrapper else ()), *peer]), first


def seconds_to_first_step(make):
    with tempfile.TemporaryDirectory() as name:
        launch, written = make(pathlib.Path(name), 1)
        start = time.time()
        launch()
        end = time.time()
        return written.stat().st_mtime - start, end - start


def memory_of(make):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        launch, _ = make(folder, 5, (sys.executable, sides.PEERS / "rank_memory.py", folder))
        launch()
        ranks = [json.loads((folder / f"{rank}.json").read_text(encoding="utf-8")) for rank in range(RANKS)]
    return {kind: max(rank[kind] for rank in ranks) for kind in ranks[0]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("result", nargs="?")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    program = arguments.program.resolve()
    makers = {"zerorun": lambda *rest: zerorun_command(program, *rest), "fsdp2": fsdp2_command}
    result = {"machine": sides.machine(), "ranks": RANKS, "tokens": TOKENS, "asked": ASKED}
    times = {side: [] for side in makers}
    for _ in range(arguments.rounds + 1):
        for side, make in makers.items():
            times[side].append(seconds_to_first_step(make))
    for side, make in makers.items():
        first, whole = zip(*times[side][1:])
        result[side] = {"first_step": sides.best_and_median(first), "whole_program_of_one_step": sides.best_and_median(whole), "memory": memory_of(make)}
        print(f"{side:<8} first step {result[side]['first_step']['best']:6.2f} s (median {statistics.median(first):.2f}), program of one step"
              f" {min(whole):6.2f} s, memory of a rank" + "".join(f" {size / 2**20:.0f} MiB {kind}" for kind, size in result[side]["memory"].items()))
    result["times_faster"] = result["fsdp2"]["first_step"]["best"] / result["zerorun"]["first_step"]["best"]
    result["memory_share"] = {kind: result["zerorun"]["memory"][kind] / result["fsdp2"]["memory"][kind] for kind in result["zerorun"]["memory"]}
    print(f"{result['times_faster']:.1f} times faster; memory " + ", ".join(f"{share:.2f} ({kind})" for kind, share in result["memory_share"].items()))
    sides.write_result(result, arguments.result)
    sys.exit(result["zerorun"]["first_step"]["best"] > ASKED["seconds"] or result["times_faster"] < ASKED["times_faster"]
             or max(result["memory_share"].values()) > ASKED["memory_share"])


main()
