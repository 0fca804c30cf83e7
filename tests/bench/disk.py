#!/usr/bin/env python3
"""What the disk store reads and writes in a second, beside fio with the same block size, depth and direct access.

    tests/bench/disk.py PATH/TO/zerorun FOLDER [RESULT.json] [--mib 2048] [--rounds 3]

FOLDER lies on the disk. The sides take turns; a rate is the best over all rounds. Needs fio (Debian: fio). Fails where the store moves
less than ASKED of what fio does.
"""
import argparse
import json
import pathlib
import sys
import tempfile

import sides

ASKED = 0.85
BLOCK, DEPTH = "2M", 32  # as offload/block_io.h
RUNS = 3  # of a round, of which zerorun takes the best


def zerorun_rates(program, folder, mib):
    with tempfile.TemporaryDirectory() as scratch:  # not the user's file of rates
        out = sides.run([program, "bench", "rates", "--path", folder, "--mib", mib, "--json"], {"ZERORUN_RATES": f"{scratch}/rates.json"})
    rates = json.loads(out)["bytes_per_second"]
    return {"read": rates["disk_read"], "write": rates["disk_write"]}


def fio_rates(folder, mib):
    file = folder / "fio.part"
    command = ["fio", "--name=peer", f"--filename={file}", f"--size={mib}M", f"--bs={BLOCK}", f"--iodepth={DEPTH}", "--ioengine=io_uring", "--direct=1", "--overwrite=1",
               "--output-format=json"]

    def rate(direction):
        out = sides.run([*command, f"--rw={direction}"], {})
        return json.loads(out[out.index("{"):])["jobs"][0][direction]["bw_bytes"]

    try:
        return {direction: max(rate(direction) for _ in range(RUNS)) for direction in ("write", "read")}
    finally:
        file.unlink(missing_ok=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("result", type=pathlib.Path, nargs="?")
    parser.add_argument("--mib", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    best = {side: {"read": 0.0, "write": 0.0} for side in ("zerorun", "fio")}
    sides_of = {"zerorun": lambda: zerorun_rates(given.program, given.folder, given.mib), "fio": lambda: fio_rates(given.folder, given.mib)}
    for round_ in range(given.rounds):
        for side in sorted(sides_of, reverse=round_ % 2 == 0):  # each begins every other round
            rates = sides_of[side]()
            best[side] = {direction: max(best[side][direction], rates[direction]) for direction in best[side]}
    ratios = {direction: best["zerorun"][direction] / best["fio"][direction] for direction in ("read", "write")}
    print("| disk, GB/s | zerorun | fio | ratio (asked) |\n|---|---|---|---|")
    for direction, ratio in ratios.items():
        print(f"| {direction} | {best['zerorun'][direction] / 1e9:.2f} | {best['fio'][direction] / 1e9:.2f} | {ratio:.2f} ({ASKED}) |")
    result = {"benchmark": "disk", "machine": sides.machine(), "mib": given.mib, "bytes_per_second": best, "ratio": ratios}
    sides.write_result(result, given.result)
    return 0 if min(ratios.values()) >= ASKED else 1


if __name__ == "__main__":
    sys.exit(main())
