"""The program under test, started in a folder of its own. A test that imports this is called with ZERORUN MPIRUN first."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ZERORUN, MPIRUN = os.path.abspath(sys.argv.pop(1)), sys.argv.pop(1)
ENVIRONMENT = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
               "CUDA_VISIBLE_DEVICES": "",  # on processors, also where there is a GPU
               "ZERORUN_RATES": "rates.json"}  # of the test's folder, not the user's
WITHIN = 60  # seconds; far more than anything here takes

CONFIG = """
run: {determinism: strict, threads: 1}
model: {family: gpt2, vocab_size: 256, hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2, max_position_embeddings: 16}
data: {train: text.txt, validation: 0.2, format: bytes}
training: {steps: 4, global_batch_size: 12, micro_batch_size: 6, seq_len: 16, eval_interval: 2, eval_batches: 0}
optimizer: {name: AdamW, lr: 1.0e-3}
zero_optimization: {stage: 3}
"""


class Program(unittest.TestCase):
    PROGRAMS = (ZERORUN,)

    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory(dir=os.path.realpath("."))  # a disk, which the folder of temporary files may not be
        self.folder = pathlib.Path(self.temporary.name)
        (self.folder / "train.yaml").write_text(CONFIG)
        (self.folder / "text.txt").write_text("It was the best of times, it was the worst of times. " * 40)

    def tearDown(self):
        self.temporary.cleanup()

    def start(self, *arguments, ranks=2):
        launcher = [MPIRUN, "--oversubscribe", "-np", str(ranks)] if ranks else []
        return subprocess.Popen([*launcher, ZERORUN, *arguments], cwd=self.folder, env=ENVIRONMENT, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run_program(self, *arguments, ranks=2):
        process = self.start(*arguments, ranks=ranks)
        out, err = process.communicate(timeout=WITHIN)
        return process.returncode, out, err

    def expect_failure(self, status, message, *arguments, ranks=2):
        returned, out, err = self.run_program(*arguments, ranks=ranks)
        self.assertEqual(returned, status, out + err)
        self.assertIn(message, err)
        self.assertEqual(err.count("zerorun: "), 1, "one block from one rank:\n" + err)
        self.assertTrue(err.startswith("zerorun: ") and "MPI_ABORT" not in err, "nothing but our message:\n" + err)
        self.assertEqual(self.processes(), [])

    def processes(self):
        """Processes of this test that still run."""
        left = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and os.readlink(entry / "cwd") == str(self.folder) and os.readlink(entry / "exe") in self.PROGRAMS:
                    left.append(entry.name)
            except OSError:
                pass
        return left

    def wait_until_gone(self):
        for _ in range(100):
            if not self.processes():
                return
            time.sleep(0.1)
        self.fail(f"still there: {self.processes()}")

    def wait_for_step(self, run="train"):
        metrics = self.folder / "runs" / run / "metrics.jsonl"
        for _ in range(1500):
            if metrics.exists() and metrics.read_text().count("\n") >= 2:
                return
            time.sleep(0.02)
        self.fail("no step was taken")

    @staticmethod
    def rank_of(process):
        with open(f"/proc/{process}/environ", "rb") as environment:
            return int(dict(entry.split(b"=", 1) for entry in environment.read().split(b"\0") if b"=" in entry)[b"OMPI_COMM_WORLD_RANK"])

    def expect_end(self, process, status, pattern, within=WITHIN):
        """Ended with one message, which matches."""
        try:
            out, err = process.communicate(timeout=within)
        except subprocess.TimeoutExpired:
            for rank in self.processes():
                os.kill(int(rank), signal.SIGKILL)
            process.kill()
            out, err = process.communicate()
            self.fail(f"it took more than {within} s:\n{out[-500:]}{err}")
        self.assertEqual(process.returncode, status, out[-500:] + err)
        self.assertRegex(err, "zerorun: " + pattern)
        self.assertEqual(err.count("zerorun: "), 1, err)
        self.wait_until_gone()

    def metrics(self, run="train"):
        return [json.loads(line) for line in (self.folder / "runs" / run / "metrics.jsonl").read_text().splitlines()]

    def report(self, run="train"):
        return json.loads((self.folder / "runs" / run / "report.json").read_text())
