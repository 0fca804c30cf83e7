#!/usr/bin/env python3
"""Is the boundary of what fits sharp? For random models, and a memory cgroup that all ranks have together, the plan that a search chooses runs; with the next larger micro-batch it is
refused before it begins, and where it is forced to run it is killed, or comes within 3 % of the limit.

    tests/launcher/boundary.py ZERORUN MPIRUN [--seed 1] [--count 10]

As root, where memory cgroups (v1) are mounted; about 10 minutes.
"""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import sys
import tempfile

from random_runs import MIB, Folder, Run, generator

RATES = {"host": "played", "threads": 1, "disk": "/played",
         "bytes_per_second": {"memory_copy": 2e10, "memory_triad": 2e10, "host_to_device": 1e10, "device_to_host": 1e10, "disk_read": 1e9, "disk_write": 1e9, "disk_both": 1e9},
         "flops_per_second": {"fp32": 1e11, "bf16": 1e11, "fp16": 1e11}, "parameters_per_second": {"adamw": 1e9}}
OUT_OF_MEMORY, KILLED = 83, 128 + 9
GROUPS = pathlib.Path("/sys/fs/cgroup/memory")


class Group:
    """A memory cgroup; what is left of its last use is given back first."""

    def __init__(self):
        self.path = GROUPS / f"zerorun-boundary-{os.getpid()}"
        self.path.mkdir()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.path.rmdir()

    def limit(self, size):
        with contextlib.suppress(OSError):
            (self.path / "memory.force_empty").write_text("0", encoding="ascii")
        (self.path / "memory.limit_in_bytes").write_text(str(size), encoding="ascii")
        (self.path / "memory.max_usage_in_bytes").write_text("0", encoding="ascii")
        return self.path

    def most(self):
        return int((self.path / "memory.max_usage_in_bytes").read_text(encoding="ascii"))


class Boundary:
    def __init__(self, folder, draw, group):
        self.folder, self.draw, self.group = folder, draw, group
        (folder.path / "rates.json").write_text(json.dumps(RATES), encoding="utf-8")

    def search(self, run, *options, group=None):
        status, out, err = self.folder.execute("plan", "base.yaml", "--ranks", str(run.ranks), "--search", "--json", *options, settings=run.settings, group=group)
        if status != 0:
            raise RuntimeError(f"search: status {status}: {err.strip()}")
        return json.loads(out)

    def train(self, limit, ranks, settings=()):
        shutil.rmtree(self.folder.path / "runs", ignore_errors=True)
        status, _, err = self.folder.execute("best.yaml", ranks=ranks, settings=settings, group=self.group.limit(limit))
        return status, err.strip()[-300:]

    def check(self, run):
        """What is wrong, or nothing; and a line."""
        run.settings |= {"training.global_batch_size": 48 * run.ranks, "training.micro_batch_size": 1, "metrics.export_hf": "false"}
        free = self.search(run, "--host-memory", "1TiB")["plans"]
        largest, least = free[0]["host_bytes"], min(plan["host_bytes"] for plan in free)
        limit = (least + int((largest - least) * self.draw.uniform(0.3, 0.8)) + 32 * MIB) // 4096 * 4096
        best = self.search(run, "--write", "best.yaml", group=self.group.limit(limit))["plans"][0]
        larger = best["next_micro_batch"]
        line = f"{run.ranks} ranks in {limit / MIB:7.1f} MiB: {best['plan']}, micro-batch {best['settings']['training.micro_batch_size']}"
        status, err = self.train(limit, run.ranks)
        if status != 0:
            return f"the plan does not run: status {status}: {err}", line
        line += f" takes {self.group.most() / limit:6.1%}"
        if not larger:
            return "", line + ", no larger micro-batch"
        more = {"training.micro_batch_size": larger["micro_batch_size"]}
        status, err = self.train(limit, run.ranks, more)
        if status != OUT_OF_MEMORY or "this run needs" not in err:
            return f"micro-batch {larger['micro_batch_size']} is not refused: status {status}: {err}", line
        status, err = self.train(limit, run.ranks, more | {"memory.fail_if_predicted_over": "false"})
        line += f"; forced, {larger['micro_batch_size']} ends with {status} at {self.group.most() / limit:6.1%}"
        return "" if status in (OUT_OF_MEMORY, KILLED) or (status == 0 and self.group.most() > 0.97 * limit) else f"status {status}: {err}", line


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("mpirun")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=10)
    arguments = parser.parse_args()
    draw, wrong = generator(arguments.seed), 0
    with tempfile.TemporaryDirectory(dir=".") as path, Group() as group:
        boundary = Boundary(Folder(path, arguments.program, arguments.mpirun), draw, group)
        for _ in range(arguments.count):
            failure, line = boundary.check(Run(draw, ranks=draw.randint(1, 2), large=True))
            wrong += bool(failure)
            print(line + (f"\n    WRONG: {failure}" if failure else ""), flush=True)
    print(f"{arguments.count - wrong} of {arguments.count} boundaries are sharp")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
