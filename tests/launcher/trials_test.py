"""Seeded trials of a run that goes wrong: it ends in time, with the status that says how, one message that names the rank, and nothing
left behind. Usage: trials_test.py ZERORUN MPIRUN FAILING_TRAINER"""
import os
import random
import signal
import subprocess
import sys
import time
import unittest

from program import ENVIRONMENT, MPIRUN, ZERORUN, Program

FAILING_TRAINER = os.path.abspath(sys.argv.pop(1))
SEED = 20261122
TIMEOUT = 3  # comm.timeout_seconds, also of the failing trainer
LIMIT = TIMEOUT + 5
START = 10  # of a program that goes wrong by itself, on more ranks than cores
KINDS = ["killed"] * 14 + ["stopped"] * 10 + ["skip"] * 10 + ["size"] * 8 + ["exit"] * 3 + ["mpirun killed"] * 2 + ["interrupted"] * 2 + ["interrupted twice"]

WAS_LOST = r"rank {rank} \(process {victim} on \S+\) was lost in .*, step \d+"
IS_LATE = r"rank {rank} does not answer, is stopped or cut off; rank \d waits in "
DISAGREE = r"ranks disagree: (.*, )?rank {rank} calls "


class Trials(Program):
    PROGRAMS = (ZERORUN, FAILING_TRAINER)

    def setUp(self):
        super().setUp()
        self.shared_before = set(os.listdir("/dev/shm"))

    def run_until(self, ranks, hosts=1, checks=False):
        """A run of many steps, some steps on its way."""
        process = self.start("train.yaml", "--set", "training.steps=1000000", "--set", "training.eval_interval=0", "--set", f"training.global_batch_size={6 * ranks}", "--set",
                             f"comm.timeout_seconds={TIMEOUT}", "--set", f"comm.pretend_hosts={hosts}", "--set",
                             f"comm.check_every_collective={str(checks).lower()}", "--set", f"run.dir=runs/{self.number}", ranks=ranks)
        self.wait_for_step(run=str(self.number))
        time.sleep(self.random.random() * 0.2)  # anywhere in a step
        return process

    def signal_a_rank(self, number, status, pattern, ranks=None, hosts=1, checks=False):
        process = self.run_until(ranks or self.random.choice([2, 3]), hosts, checks)
        victim = int(self.random.choice(sorted(self.processes(), key=int)))
        rank = self.rank_of(victim)
        os.kill(victim, number)
        self.expect_end(process, status, pattern.format(rank=rank, victim=victim), LIMIT)

    def go_wrong(self, way, status, pattern, ranks=None, hosts=1, checks=False):
        ranks = ranks or self.random.choice([2, 3])
        rank, collective = self.random.randrange(ranks), self.random.randrange(3, 60)
        process = subprocess.Popen([MPIRUN, "--oversubscribe", "-np", str(ranks), FAILING_TRAINER, way, str(rank), str(collective), str(hosts), str(int(checks))],
                                   cwd=self.folder, env=ENVIRONMENT, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.expect_end(process, status, pattern.format(rank=rank), START + LIMIT)

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
            self.signal_a_rank(signal.SIGKILL, 128 + signal.SIGKILL, WAS_LOST)
        elif kind == "stopped":
            self.signal_a_rank(signal.SIGSTOP, 82, r"rank {rank} \(process {victim} on \S+\) is stopped in .*, step \d+; ranks? .* waits? in ")
        elif kind in ("skip", "size"):
            self.go_wrong(kind, 81, DISAGREE)
        elif kind == "exit":
            self.go_wrong(kind, 82, r".*rank {rank} has not come")
        elif kind == "mpirun killed":
            self.signal_mpirun([signal.SIGKILL], -signal.SIGKILL)
            status, out, err = self.run_program("train.yaml", "--set", "training.steps=1", "--set", f"run.dir=runs/next{self.number}")
            self.assertEqual(status, 0, out + err)
        elif kind == "interrupted":
            self.assertLess(self.signal_mpirun([signal.SIGINT], 1), 3)
        else:
            self.assertLess(self.signal_mpirun([signal.SIGINT, signal.SIGINT], None), 3)

    def run_trials(self, kinds, trial):
        self.random = random.Random(SEED)
        self.random.shuffle(kinds)
        for self.number, kind in enumerate(kinds):
            with self.subTest(number=self.number, kind=kind):
                trial(kind)
                self.assertLessEqual(set(os.listdir("/dev/shm")), self.shared_before)

    def test_the_right_rank_is_named_in_all(self):
        self.assertEqual(len(KINDS), 50)
        self.run_trials(list(KINDS), self.trial)

    def trial_between_hosts(self, kind):
        if kind == "killed":
            self.signal_a_rank(signal.SIGKILL, 128 + signal.SIGKILL, WAS_LOST, ranks=4, hosts=2)
        elif kind in ("stopped", "stopped, checked"):
            self.signal_a_rank(signal.SIGSTOP, 82, IS_LATE, ranks=4, hosts=2, checks=kind != "stopped")
        elif kind == "skip, checked":
            self.go_wrong("skip", 81, r"ranks disagree: ranks \d, \d, \d call .*, rank {rank} calls ", ranks=4, hosts=2, checks=True)
        else:
            self.go_wrong(kind, 81, DISAGREE, ranks=4, hosts=2)

    def test_the_right_rank_is_named_between_hosts(self):
        self.run_trials(["killed", "stopped", "stopped, checked", "skip", "skip, checked", "size"] * 4, self.trial_between_hosts)


if __name__ == "__main__":
    unittest.main(verbosity=2)
