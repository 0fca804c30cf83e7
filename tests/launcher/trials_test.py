"""Fifty seeded trials of a run that goes wrong: it ends in time, with the status that says how, one message that names the rank, and nothing
left behind. Usage: trials_test.py ZERORUN MPIRUN FAILING_TRAINER"""
import os
import random
import signal
import subprocess
import sys
import time
import unittest

from program import ENVIRONMENT, MPIRUN, Program

FAILING_TRAINER = os.path.abspath(sys.argv.pop(1))
SEED = 20261122
TIMEOUT = 3  # comm.timeout_seconds, also of the failing trainer
LIMIT = TIMEOUT + 5
KINDS = ["killed"] * 14 + ["stopped"] * 10 + ["skip"] * 10 + ["size"] * 8 + ["exit"] * 3 + ["mpirun killed"] * 2 + ["interrupted"] * 2 + ["interrupted twice"]


class Trials(Program):
    def setUp(self):
        super().setUp()
        self.shared_before = set(os.listdir("/dev/shm"))

    def run_until(self, ranks):
        """A run of many steps, some steps on its way."""
        process = self.start("train.yaml", "--set", "training.steps=1000000", "--set", "training.eval_interval=0", "--set", f"training.global_batch_size={6 * ranks}", "--set",
                             f"comm.timeout_seconds={TIMEOUT}", "--set", f"run.dir=run{self.number}", ranks=ranks)
        metrics = self.folder / f"run{self.number}" / "metrics.jsonl"
        deadline = time.monotonic() + 30
        while not (metrics.exists() and metrics.read_text().count("\n") >= 2):
            self.assertLess(time.monotonic(), deadline, "no step was taken")
            time.sleep(0.02)
        time.sleep(self.random.random() * 0.2)  # anywhere in a step
        return process

    def rank_of(self, process):
        with open(f"/proc/{process}/environ", "rb") as environment:
            return int(dict(entry.split(b"=", 1) for entry in environment.read().split(b"\0") if b"=" in entry)[b"OMPI_COMM_WORLD_RANK"])

    def expect_end(self, process, started, status, pattern, messages=1):
        out, err = process.communicate(timeout=LIMIT + 20)
        self.assertLess(time.monotonic() - started, LIMIT, err)
        self.assertEqual(process.returncode, status, out[-500:] + err)
        self.assertRegex(err, pattern)
        self.assertEqual(err.count("zerorun: "), messages, err)
        self.wait_until_gone()

    def signal_a_rank(self, number, status, pattern):
        process = self.run_until(self.random.choice([2, 3]))
        victim = int(self.random.choice(sorted(self.processes(), key=int)))
        rank = self.rank_of(victim)
        os.kill(victim, number)
        self.expect_end(process, time.monotonic(), status, pattern.format(rank=rank, victim=victim))

    def go_wrong(self, way, status, pattern):
        ranks = self.random.choice([2, 3])
        rank, collective = self.random.randrange(ranks), self.random.randrange(3, 60)
        process = subprocess.Popen([MPIRUN, "--oversubscribe", "-np", str(ranks), FAILING_TRAINER, way, str(rank), str(collective)], cwd=self.folder,
                                   env=ENVIRONMENT, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.expect_end(process, time.monotonic(), status, pattern.format(rank=rank))

    def signal_mpirun(self, numbers, status):
        process = self.run_until(2)
        started = time.monotonic()
        for number in numbers:
            process.send_signal(number)
        process.communicate(timeout=LIMIT)
        if status is not None:
            self.assertEqual(process.returncode, status)
        self.wait_until_gone()
        return time.monotonic() - started

    def trial(self, kind):
        if kind == "killed":
            self.signal_a_rank(signal.SIGKILL, 128 + signal.SIGKILL, r"zerorun: rank {rank} \(process {victim} on \S+\) was lost in .*, step \d+")
        elif kind == "stopped":
            self.signal_a_rank(signal.SIGSTOP, 82, r"zerorun: rank {rank} \(process {victim} on \S+\) is stopped in .*, step \d+; ranks? .* waits? in ")
        elif kind in ("skip", "size"):
            self.go_wrong(kind, 81, r"zerorun: ranks disagree: .*rank {rank} calls ")
        elif kind == "exit":
            self.go_wrong(kind, 82, r"zerorun: .*rank {rank} has not come")
        elif kind == "mpirun killed":
            self.signal_mpirun([signal.SIGKILL], -signal.SIGKILL)
            status, out, err = self.run_program("train.yaml", "--set", "training.steps=1", "--set", f"run.dir=next{self.number}")
            self.assertEqual(status, 0, out + err)
        elif kind == "interrupted":
            self.assertLess(self.signal_mpirun([signal.SIGINT], 1), 3)
        else:
            self.assertLess(self.signal_mpirun([signal.SIGINT, signal.SIGINT], None), 3)

    def test_the_right_rank_is_named_in_all(self):
        self.random = random.Random(SEED)
        kinds = list(KINDS)
        self.random.shuffle(kinds)
        self.assertEqual(len(kinds), 50)
        for self.number, kind in enumerate(kinds):
            with self.subTest(number=self.number, kind=kind):
                self.trial(kind)
                self.assertLessEqual(set(os.listdir("/dev/shm")), self.shared_before)


if __name__ == "__main__":
    unittest.main(verbosity=2)
