#!/usr/bin/env python3
"""Is what is predicted what happens? Trains random configurations for two steps: of every rank the peak of its tensors is predicted within 1 %, and that of its process, where that is at
least 512 MiB, within 3 %.

    reality_test.py ZERORUN MPIRUN [--seed 1] [--count 40] [--json FILE]
"""
import argparse
import json
import shutil
import sys
import tempfile

from random_runs import MIB, Folder, Run, generator


def off(compared):
    return compared["measured"] / max(compared["predicted"], 1) - 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("mpirun")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    draw, rows, wrong = generator(arguments.seed), [], 0
    print(f"{'tensors MiB':>12} {'off':>8} {'process MiB':>12} {'off':>8}")
    with tempfile.TemporaryDirectory(dir=".") as path:
        folder = Folder(path, arguments.program, arguments.mpirun)
        while len(rows) < arguments.count:
            run = Run(draw)
            status, out, err = folder.execute("base.yaml", ranks=run.ranks, settings=run.settings)
            if status != 0:
                print(f"status {status}: {err.strip()}\n    {run.words()}")
                return 1
            ranks = folder.report()["memory"]
            shutil.rmtree(folder.path / "runs")
            total = max((rank["total"] for rank in ranks), key=lambda compared: abs(off(compared)))
            process = max((rank["process_peak"] for rank in ranks), key=lambda compared: abs(off(compared)))
            large = process["measured"] >= 512 * MIB
            bad = abs(off(total)) > 0.01 or (large and abs(off(process)) > 0.03)
            wrong += bad
            rows.append({"run": run.words(), "total": total, "process_peak": process})
            print(f"{total['measured'] / MIB:>12.1f} {off(total):>8.2%} {process['measured'] / MIB:>12.1f} {off(process):>8.2%}{'' if large else '  small'}{'  WRONG' if bad else ''}\n    {run.words()}",
                  flush=True)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({"seed": arguments.seed, "rows": rows}, file, indent=1)
    print(f"{len(rows) - wrong} of {len(rows)} as predicted")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
