"""Runs a rank as its child and writes what memory it took at most: resident, and proportional (pages that ranks share are divided among them).

    rank_memory.py FOLDER COMMAND...      for mpirun and torchrun: each rank writes FOLDER/<rank>.json

Resident is the kernel's own peak, exact; proportional is sampled every 20 ms. It costs time: not for timings.
"""
import json
import os
import pathlib
import subprocess
import sys
import time


def proportional_kib(process):
    try:
        for line in pathlib.Path(f"/proc/{process}/smaps_rollup").read_text(encoding="utf-8").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:  # it has just ended
        pass
    return 0


def main():
    folder, command = pathlib.Path(sys.argv[1]), sys.argv[2:]
    rank = os.environ.get("OMPI_COMM_WORLD_RANK") or os.environ["RANK"]
    child = subprocess.Popen(command)
    proportional = 0
    while True:
        ended, status, usage = os.wait4(child.pid, os.WNOHANG)
        if ended:
            break
        proportional = max(proportional, proportional_kib(child.pid))
        time.sleep(0.02)
    peak = {"resident": usage.ru_maxrss * 1024, "proportional": proportional * 1024}
    (folder / f"{rank}.json").write_text(json.dumps(peak), encoding="utf-8")
    sys.exit(os.waitstatus_to_exitcode(status) and 1)


main()
