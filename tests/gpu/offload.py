#!/usr/bin/env python3
"""The part `offload` of bench.sh: what it costs to train and ask llama-debug (970,016,768 parameters) on 4096 tokens while weights and optimizer sleep in host memory.

    offload.py --out FOLDER [--zerorun PROGRAM] [--device cuda|cpu] [--steps 5] [--plan]

Passes where what tensors take of the GPU is at most 1.05 of the best plan's bytes with nothing asleep, and 1.10 with weights and optimizer asleep; a step with moves beside the
computation takes at most 1.25 of the time of its parts, and inference 1.15 of the time in which the weights are copied. Parts are measured alone: what is computed by the row with
nothing asleep, moves and updates by `zerorun bench rates`; of each phase the one counts that takes longest, and phases come one after the other.
With --plan nothing is run: the same limits of memory for what `zerorun plan` predicts of a GPU, on any machine.
"""
import json
import pathlib
import sys
import tempfile
import time

import machine

VOCABULARY, TOKENS = 32000, 4096
MODEL = {"family": "llama", "preset": "debug", "max_position_embeddings": TOKENS}
SMALL = {"family": "llama", "vocab_size": VOCABULARY, "hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 256,
         "max_position_embeddings": TOKENS, "tie_word_embeddings": False}

# GiB of the GPU that the best plan takes: 16 bytes of each parameter, or 4 of embeddings, head and one block (two, where one comes while the other computes); what backward needs of
# each block without recompute (16 hidden + 6 inner numbers a token) or with it (hidden, and one block's); and an eighth of the logits.
BEST = {"none": {"none": 18.861, "blocked": 5.051, "overlapped": 5.208}, "full": {"none": 15.016, "blocked": 1.206, "overlapped": 1.363}}
RESIDENT, ASLEEP, TRAINING, INFERENCE = 1.05, 1.10, 1.25, 1.15  # at most so many times


def settings(tokens, recompute, device):
    small = device == "cpu"
    return {
        "run": {} if small else {"device": device},
        "model": SMALL if small else MODEL,
        "data": {"train": str(tokens), "format": "tokens_uint16"},
        "training": {"steps": 1, "global_batch_size": 1, "micro_batch_size": 1, "seq_len": 64 if small else TOKENS},
        "precision": {"param_dtype": "bf16", "reduce_dtype": "bf16"},
        "optimizer": {"lr": 1e-4},
        "zero_optimization": {"stage": 3, "offload_param": {"device": "cpu"}, "offload_optimizer": {"device": "cpu"}},
        "activation_checkpoint": {"mode": recompute},
    }


def seconds_of_parts(row, computing):
    """The sum over phases of the part that takes longest; what is computed takes `computing` times as long as the rates say."""
    total = 0
    for phase in ("forward", "backward", "update"):
        seconds = {name: value for name, value in row["predicted_phases"][phase].items() if name != "seconds"}
        computed = computing * (seconds.pop("compute", 0) + seconds.pop("memory", 0))
        total += max([computed, *seconds.values()])
    return total


def limits_of(row, recompute, rows):
    """What the row may be at most, by name: (its figure, what that is held against, how many times that it may be)."""
    limits = {}
    if row["what"] == "training":
        best = BEST[recompute][row["mode"]] * 2**30
        limits["memory"] = (row["memory"]["total"]["measured"], best, RESIDENT if row["mode"] == "none" else ASLEEP)
    if row["mode"] == "overlapped":
        alone = next(other for other in rows if (other["what"], other["mode"]) == (row["what"], "none"))
        if row["what"] == "training" and alone["not_run"] is None:
            parts = seconds_of_parts(row, alone["seconds_per_step"] / alone["predicted_seconds"])
            limits["time"] = (row["seconds_per_step"], parts, TRAINING)
        elif row["what"] == "inference":
            moved = row["resources"]["to_device"]
            limits["time"] = (row["seconds_per_step"], moved["amount"] / moved["predicted"], INFERENCE)
    return limits


def too_much(name, what, figure, held_against, most):
    return f"{name}: {what} is {figure / held_against:.2f} of what it is held against, at most {most} was asked for"


def plan(arguments, folder):
    """What each way is predicted to take, held against the best plan."""
    tokens, limits, reasons = folder / "tokens.u16", {}, []
    machine.write_tokens(tokens, VOCABULARY)
    for recompute, modes in BEST.items():
        for mode, best in modes.items():
            wanted = settings(tokens, recompute, "cuda")
            for part in ("offload_param", "offload_optimizer"):
                wanted["zero_optimization"][part] = {"device": "none"} if mode == "none" else {"device": "cpu", "overlap": mode == "overlapped"}
            file = folder / f"{recompute}-{mode}.yaml"
            file.write_text(json.dumps(wanted), encoding="utf-8")
            found = json.loads(machine.run([arguments.zerorun, "plan", file, "--ranks", 1, "--json"], 60))["memory"][0]["total"]["predicted"]
            limit = {"figure": found, "held_against": best * 2**30, "most": RESIDENT if mode == "none" else ASLEEP}
            limits[f"{recompute} {mode}"] = limit
            print(f"{recompute:10}{mode:12}{found / 2**30:8.3f} GiB, {found / limit['held_against']:.3f} of {best} GiB (at most {limit['most']})")
            if found > limit["most"] * limit["held_against"]:
                reasons.append(too_much(f"{recompute} {mode}", "predicted memory", *limit.values()))
    return {"limits": limits, "reasons": reasons}


def judge(row, recompute, rows, device):
    """Prints a line of the table; the reasons for which the row fails, and its limits for the result."""
    name = f"{row['what']} {row['mode']}"
    if row["not_run"]:
        print(f"{recompute:10}{name:24}not run: {row['not_run']}")
        return [f"{recompute} {name}: {row['not_run']}"], {}
    words, reasons, found = "", [], {}
    for what, (figure, held_against, most) in limits_of(row, recompute, rows).items():
        times = figure / held_against
        found[what] = {"figure": figure, "held_against": held_against, "times": times, "most": most}
        words += f"  {what} {times:.2f} of {held_against / 2**30:.3f} GiB" if what == "memory" else f"  {what} {times:.2f} of {1e3 * held_against:.1f} ms"
        words += f" (at most {most})"
        if times > most and device == "cuda":  # of a small model on a processor they say nothing
            reasons.append(too_much(f"{recompute} {name}", what, figure, held_against, most))
    print(f"{recompute:10}{name:24}{row['memory']['total']['measured'] / 2**30:8.3f} GiB{1e3 * row['seconds_per_step']:10.1f} ms{words}")
    return reasons, found


def run(arguments, folder):
    tokens, rates = folder / "tokens.u16", {"ZERORUN_RATES": str(folder / "rates.json")}
    machine.write_tokens(tokens, VOCABULARY)
    machine.run([arguments.zerorun, "bench", "rates", "--device", arguments.device, "--path", folder], 120, rates)
    benches, limits, reasons = {}, {}, []
    print(f"{'recompute':10}{'':24}{'tensors':>12}{'a step':>13}")
    for recompute in BEST:
        file = folder / f"{recompute}.yaml"
        file.write_text(json.dumps(settings(tokens, recompute, arguments.device)), encoding="utf-8")
        bench = json.loads(machine.run([arguments.zerorun, "bench", "offload", file, "--json", "--steps", arguments.steps], 170, rates))
        benches[recompute], limits[recompute] = bench, {}
        for row in bench["rows"]:
            why, found = judge(row, recompute, bench["rows"], arguments.device)
            reasons += why
            limits[recompute][f"{row['what']} {row['mode']}"] = found
    return {"limits": limits, "reasons": reasons, "benches": benches}


def main():
    parser = machine.parser()
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--plan", action="store_true")
    arguments = parser.parse_args()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=".") as path:
        try:
            found = (plan if arguments.plan else run)(arguments, pathlib.Path(path).resolve())
        except machine.Failed as error:
            found = {"reasons": [str(error)]}
    for reason in found["reasons"]:
        print(f"FAIL {reason}")
    result = {"part": "offload", **machine.describe(), "passed": not found["reasons"], "seconds": round(time.perf_counter() - start, 1), **found}
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "bench-offload.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    sys.exit(not result["passed"])


main()
