#!/usr/bin/env python3
"""What moving bytes between ranks takes with zerorun, beside torch.distributed over gloo: reduce-scatter and all-gather (a copy) of
4 to 256 MiB in all in fp32, and of as many elements in bf16, one thread and one core a rank.

    tests/bench/collectives.py PATH/TO/collectives_bench [RESULT.json] [--ranks 2] [--rounds 3]

The sides take turns; a size's time is the best over all rounds. About 5 minutes on 2 cores. Fails where a ratio is below ASKED.
"""
import argparse
import json
import pathlib
import sys
import tempfile

import sides

SIZES = [mib << 20 for mib in (4, 16, 64, 256)]
ASKED = {"reduce_scatter": 15.0, "all_gather": 10.0, "all_gather in place": 10.0}


def zerorun_lines(program, ranks, repeats):
    return sides.mpirun(ranks, [program, "--repeats", repeats, "--bytes", ",".join(map(str, SIZES))])


def gloo_lines(ranks, repeats):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "lines.jsonl"
        sides.torchrun(ranks, [sides.PEERS / "gloo_collectives.py", "--repeats", repeats, "--bytes", ",".join(map(str, SIZES)), "--out", out])
        return out.read_text(encoding="utf-8")


def keep_best(rows, side, lines):
    for line in map(json.loads, filter(lambda text: text.startswith("{"), lines.splitlines())):
        row = rows.setdefault((line["collective"], line["dtype"], line["bytes"]), {})
        known = row.get(side, {"best": float("inf"), "median": float("inf")})
        row[side] = {figure: min(known[figure], line[figure]) for figure in ("best", "median")}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("result", nargs="?")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    result = {"machine": sides.machine(), "ranks": arguments.ranks, "rows": []}
    rows = {}
    for _ in range(arguments.rounds):
        keep_best(rows, "zerorun", zerorun_lines(arguments.program.resolve(), arguments.ranks, arguments.repeats))
        keep_best(rows, "gloo", gloo_lines(arguments.ranks, arguments.repeats))
    print(f"{'collective':<19} {'dtype':>5} {'MiB':>10} {'zerorun ms':>10} {'gloo ms':>10} {'ratio':>6} {'asked':>6}")
    for (collective, dtype, size), times in sorted(rows.items()):
        row = {"collective": collective, "dtype": dtype, "bytes": size, "seconds": times, "asked": ASKED[collective],
               "ratio": times["gloo"]["best"] / times["zerorun"]["best"]}
        result["rows"].append(row)
        print(f"{collective:<19} {dtype:>5} {size / 2**20:>10g} {1e3 * times['zerorun']['best']:>10.2f} {1e3 * times['gloo']['best']:>10.2f}"
              f" {row['ratio']:>6.1f} {row['asked']:>6g}")
    sides.write_result(result, arguments.result)
    sys.exit(any(row["ratio"] < row["asked"] for row in result["rows"]))


main()
