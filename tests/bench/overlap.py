#!/usr/bin/env python3
"""What overlap makes of a step whose parameters and optimizer sleep behind a link of chosen speed, beside the least that its parts allow.

    tests/bench/overlap.py PATH/TO/overlap_bench [RESULT.json] [--rounds 5]

overlap_bench chooses the link so that the parts of each phase balance, and measures parts, the blocked step and the overlapped one in turn. bound is the sum over
the phases (forward with the updates of the step before; backward) of their longest part, and the first fetch and the last write-back. The medians over the
rounds count. About a minute on 2 cores, which it wants for itself. Fails where the overlapped step takes more than ASKED_OF_BOUND of the bound, or the blocked
one less than ASKED_OF_BLOCKED of it.
"""
import argparse
import json
import pathlib
import statistics
import sys

import sides

ASKED_OF_BOUND, ASKED_OF_BLOCKED = 1.15, 1.8


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("result", nargs="?")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    out = sides.run([given.program.resolve(), "--rounds", given.rounds], {})
    rounds = [json.loads(line) for line in out.splitlines()]
    for row in rounds:
        row["of_bound"], row["blocked_of_overlapped"] = row["overlapped"] / row["bound"], row["blocked"] / row["overlapped"]
    print("| ms | forward | updates | backward | link up, down GB/s | bound | overlapped | / bound | blocked | / overlapped |\n|---|---|---|---|---|---|---|---|---|---|")
    for row in rounds:
        print(f"| | {1e3 * row['forward']:.0f} | {1e3 * row['update']:.0f} | {1e3 * row['backward']:.0f} | {row['up_bytes_per_second'] / 1e9:.1f}, "
              f"{row['down_bytes_per_second'] / 1e9:.1f} | {1e3 * row['bound']:.0f} | {1e3 * row['overlapped']:.0f} | {row['of_bound']:.2f} | "
              f"{1e3 * row['blocked']:.0f} | {row['blocked_of_overlapped']:.2f} |")
    of_bound, of_overlapped = (statistics.median(row[name] for row in rounds) for name in ("of_bound", "blocked_of_overlapped"))
    print(f"\noverlapped / bound {of_bound:.2f} (at most {ASKED_OF_BOUND}), blocked / overlapped {of_overlapped:.2f} (at least {ASKED_OF_BLOCKED})")
    sides.write_result({"benchmark": "overlap", "machine": sides.machine(), "rounds": rounds, "of_bound": of_bound, "blocked_of_overlapped": of_overlapped}, given.result)
    return 0 if of_bound <= ASKED_OF_BOUND and of_overlapped >= ASKED_OF_BLOCKED else 1


if __name__ == "__main__":
    sys.exit(main())
