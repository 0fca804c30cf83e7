#!/usr/bin/env python3
"""Is the time of a step foretold? Measures the machine's rates, then trains random configurations, whose steps are to take 0.1 s and more, for six steps, every second one with
little to compute and much that sleeps on disk: the predicted time beside the median of the last five, and the resource that was to bound it beside the one that was busiest.
Fails where the median error is over 25 %, or fewer than nine in ten resources are named rightly.

    tests/bench/step_time.py PATH/TO/zerorun [RESULT.json] [--count 20] [--seed 1]

About 8 minutes on 2 cores that do nothing else; a folder of the working directory has to be on a disk.
"""
import argparse
import collections
import json
import pathlib
import shutil
import statistics
import sys
import tempfile

import sides

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "launcher"))
from random_runs import Folder, Run, generator  # noqa: E402

STEPS = 6
LEAST_SECONDS = 0.1  # of a step as foretold: shorter ones are mostly what it takes to start their parts


def asleep_on_disk(draw, ranks):
    """Little to compute, and much to move."""
    settings = {"optimizer.name": "AdamW", "zero_optimization.offload_optimizer.device": "nvme", "zero_optimization.offload_optimizer.path": ".",
                "zero_optimization.offload_optimizer.overlap": draw.choice(("true", "true", "false")), "training.micro_batch_size": 1, "training.global_batch_size": ranks,
                "training.seq_len": draw.randint(5, 60)}
    if draw.random() < 0.5:
        settings |= {"zero_optimization.stage": 3, "zero_optimization.offload_param.device": "nvme", "zero_optimization.offload_param.path": ".",
                     "zero_optimization.offload_param.overlap": settings["zero_optimization.offload_optimizer.overlap"]}
    return settings


def planned_seconds(folder, run):
    status, out, err = folder.execute("plan", "base.yaml", "--ranks", str(run.ranks), "--json", settings=run.settings)
    if status != 0:
        sys.exit(f"{err}\n{run.words()}")
    return json.loads(out)["step"]["seconds"]


def busiest(folder, report):
    """By the trace of rank 0, and by what it waited for others."""
    events = json.loads((folder.path / "runs" / "base" / "trace.json").read_text(encoding="utf-8"))["traceEvents"]
    lanes = {event["tid"]: event["args"]["name"] for event in events if event["ph"] == "M" and event["name"] == "thread_name"}
    busy = collections.Counter()
    for event in events:
        if event["ph"] != "X":
            continue
        lane, name, seconds = lanes[event["tid"]], event["name"], event["dur"] / 1e6 / (STEPS - 1)
        if lane == "update" or (lane == "compute" and name == "update"):
            busy["update"] += seconds
        elif lane == "compute":
            busy["compute"] += seconds
        elif lane in ("up", "down"):
            busy["to_device" if lane == "up" else "to_host"] += seconds
        elif lane.endswith(" reads"):
            busy["disk_read"] += seconds
        elif lane.endswith(" writes"):
            busy["disk_write"] += seconds
    busy["links"] = report["communication"]["reduce_scatter"]["seconds"] / STEPS
    return busy.most_common(1)[0][0]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("result", nargs="?")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    draw, rows = generator(f"{arguments.seed} steps"), []
    print(f"{'measured s':>10} {'foretold s':>10} {'off':>7}  {'busiest':<11} {'foretold':<11}")
    with tempfile.TemporaryDirectory(dir=".") as path:
        folder = Folder(path, arguments.program, "mpirun")
        status, _, err = folder.execute("bench", "rates", "--path", ".")
        if status != 0:
            sys.exit(err)
        while len(rows) < arguments.count:
            run = Run(draw, ranks=draw.randint(1, 2), large=True)
            if len(rows) % 2 == 1:
                run.settings |= asleep_on_disk(draw, run.ranks)
            run.settings |= {"training.steps": STEPS, "metrics.trace_steps": STEPS - 1, "metrics.export_hf": "false"}
            if planned_seconds(folder, run) < LEAST_SECONDS:
                continue
            status, _, err = folder.execute("base.yaml", ranks=run.ranks, settings=run.settings)
            if status != 0:
                sys.exit(f"{err}\n{run.words()}")
            report = folder.report()
            seconds = statistics.median(json.loads(line)["seconds"] for line in (folder.path / "runs" / "base" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[1:])
            foretold, bound, busy = report["steps"]["predicted_seconds"], report["steps"]["predicted_bound"], busiest(folder, report)
            shutil.rmtree(folder.path / "runs")
            rows.append({"run": run.words(), "seconds": seconds, "predicted_seconds": foretold, "busiest": busy, "predicted_bound": bound})
            print(f"{seconds:>10.3f} {foretold:>10.3f} {foretold / seconds - 1:>7.0%}  {busy:<11} {bound:<11}", flush=True)
        rates = json.loads((folder.path / "rates.json").read_text(encoding="utf-8"))
    error = statistics.median(abs(row["predicted_seconds"] / row["seconds"] - 1) for row in rows)
    named = sum(row["busiest"] == row["predicted_bound"].replace("memory", "compute") for row in rows)  # on one lane
    print(f"median error {error:.0%}; {named} of {len(rows)} resources named rightly")
    if arguments.result:
        result = {"machine": sides.machine(), "rates": rates, "median_error": error, "named": named, "rows": rows}
        pathlib.Path(arguments.result).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0 if error <= 0.25 and named >= 0.9 * len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
