#!/usr/bin/env python3
"""What a training step takes with zerorun, stages 1 to 3, beside FSDP2 and DDP of PyTorch over gloo: a GPT-2 of 27 M parameters in fp32 (6 layers,
width 512, 8 heads, vocabulary 8192, untied head), AdamW, gradients clipped, one sequence of 32, 128 or 512 random tokens a rank, one thread a rank.

    tests/bench/train_step.py PATH/TO/zerorun [RESULT.json] [--ranks 2,4] [--rounds 3]

The sides take turns in every round, each rank bound to a core on both; a step's time is the best over all rounds, without the first steps
of each. About 10 minutes on 2 cores. Fails when a ratio of 2 ranks is below what is asked for (ASKED).
"""
import argparse
import json
import pathlib
import sys
import tempfile

import sides

TOKENS = (32, 128, 512)
WARM = 3
ASKED = {"fsdp2": {32: 5.0, 128: 2.6, 512: 1.45}, "ddp": {32: 1.9, 128: 1.3, 512: 1.08}}
STAGES = ("stage 3", "stage 2", "stage 1")


def zerorun_seconds(program, tokens, ranks, stage, steps):
    with tempfile.TemporaryDirectory() as folder:
        configuration = sides.write_training(pathlib.Path(folder), tokens, ranks, stage, steps)
        sides.mpirun(ranks, [program, configuration])
        lines = (pathlib.Path(folder) / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["seconds"] for line in lines][WARM:]


def peer_seconds(mode, ranks, steps):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "seconds.json"
        sides.torchrun(ranks, [sides.PEERS / "gpt_step.py", "--mode", mode, "--tokens", ",".join(map(str, TOKENS)), "--steps", steps, "--out", out])
        return {int(tokens): seconds[WARM:] for tokens, seconds in json.loads(out.read_text(encoding="utf-8")).items()}


def measure(program, ranks, rounds, steps):
    """Seconds of all measured steps: {side: {tokens: [seconds]}}."""
    seconds = {side: {tokens: [] for tokens in TOKENS} for side in (*STAGES, *ASKED)}

    def zerorun(stage):
        for tokens in TOKENS:
            seconds[stage][tokens] += zerorun_seconds(program, tokens, ranks, stage[-1], steps)

    def peer(mode):
        for tokens, measured in peer_seconds(mode, ranks, steps).items():
            seconds[mode][tokens] += measured

    for _ in range(rounds):
        zerorun("stage 3")
        peer("fsdp2")
        zerorun("stage 2")
        peer("ddp")
        zerorun("stage 1")
    return seconds


def rows_of(ranks, seconds):
    for tokens in TOKENS:
        times = {side: sides.best_and_median(seconds[side][tokens]) for side in seconds}
        yield {"ranks": ranks, "tokens": tokens, "seconds": times,
               "ratios": {mode: times[mode]["best"] / times["stage 3"]["best"] for mode in ASKED},
               "median_ratios": {mode: times[mode]["median"] / times["stage 3"]["median"] for mode in ASKED},
               "asked": {mode: ASKED[mode][tokens] for mode in ASKED} if ranks == 2 else None}


def reached(row):
    return row["asked"] is None or all(row["ratios"][mode] >= row["asked"][mode] for mode in ASKED)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("result", nargs="?")
    parser.add_argument("--ranks", default="2,4")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20)
    arguments = parser.parse_args()
    result = {"machine": sides.machine(), "rounds": arguments.rounds, "rows": []}
    print(f"{'ranks':>5} {'tokens':>6}" + "".join(f" {side + ' ms':>11}" for side in (*STAGES, *ASKED)) + f" {'fsdp2/3':>8} {'asked':>6} {'ddp/3':>8} {'asked':>6}")
    for ranks in map(int, arguments.ranks.split(",")):
        for row in rows_of(ranks, measure(arguments.program.resolve(), ranks, arguments.rounds, arguments.steps)):
            asked = row["asked"] or {mode: "" for mode in ASKED}
            print(f"{ranks:>5} {row['tokens']:>6}" + "".join(f" {1e3 * row['seconds'][side]['best']:>11.1f}" for side in row["seconds"])
                  + "".join(f" {row['ratios'][mode]:>8.2f} {asked[mode]:>6}" for mode in ASKED), flush=True)
            result["rows"].append(row)
    sides.write_result(result, arguments.result)
    sys.exit(not all(reached(row) for row in result["rows"]))


main()
