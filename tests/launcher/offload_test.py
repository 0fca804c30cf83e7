"""What sleeps on disk or in host memory, as users run it. Usage: offload_test.py ZERORUN MPIRUN"""
import json
import os
import pathlib
import resource
import subprocess
import unittest

from program import ENVIRONMENT, WITHIN, ZERORUN, Program

PARAM, OPTIMIZER = "zero_optimization.offload_param", "zero_optimization.offload_optimizer"
# A small sibling of examples/llama_1b_nvme.yaml: 31 M parameters, 470 MiB of states.
SIBLING = """
run: {threads: 1}
model: {family: llama, vocab_size: 8000, hidden_size: 512, num_hidden_layers: 8, num_attention_heads: 8, intermediate_size: 1376, max_position_embeddings: 64}
data: {train: text.txt, format: bytes}
training: {steps: 3, global_batch_size: 1, micro_batch_size: 1, seq_len: 32}
optimizer: {lr: 1.0e-4}
activation_checkpoint: {mode: full}
metrics: {export_hf: false}
"""
LIMIT = 400 << 20  # bytes of data, beside what the program takes before it has a model


def on_disk(path="asleep"):
    places = {f"{section}.{key}": value for section in (PARAM, OPTIMIZER) for key, value in (("device", "nvme"), ("path", path))}
    places |= {"activation_checkpoint.mode": "full", "activation_checkpoint.offload": "nvme", "activation_checkpoint.path": path}
    return tuple(word for key, value in places.items() for word in ("--set", f"{key}={value}"))


class Offload(Program):
    def setUp(self):
        super().setUp()
        (self.folder / "asleep").mkdir()
        (self.folder / "sibling.yaml").write_text(SIBLING)

    def data_of(self, *arguments):
        """Of the program without a model: RLIMIT_DATA counts what is mapped, threads' stacks and LibTorch's own memory too."""
        process = self.start(*arguments, ranks=0)
        peak = 0
        while process.poll() is None:
            try:
                status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
                peak = max(peak, *(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmData")), 0)
            except OSError:
                pass
        process.communicate()
        return peak

    def under_the_limit(self, *arguments):
        limit = self.limit
        return subprocess.run([ZERORUN, "sibling.yaml", *arguments], cwd=self.folder, env=ENVIRONMENT, text=True, stdin=subprocess.DEVNULL, timeout=WITHIN,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)))

    def test_a_small_sibling_of_the_example_trains_under_a_limit_that_refuses_it_without_offload(self):
        self.limit = self.data_of("plan", "sibling.yaml", "--ranks", "1") + LIMIT
        resident = self.under_the_limit()
        self.assertEqual(resident.returncode, 83, resident.stdout + resident.stderr)
        asleep = self.under_the_limit(*on_disk(), "--set", "run.name=asleep")
        self.assertEqual(asleep.returncode, 0, asleep.stdout + asleep.stderr)
        report = self.report("asleep")
        for name, bytes_ in report["memory"][0]["categories"].items():
            self.assertEqual(bytes_["predicted"], bytes_["measured"], name)
        self.assertGreater(report["memory"][0]["categories"]["disk"]["measured"], 16 * report["parameters"])

    def test_the_plan_says_what_would_make_it_fit(self):
        self.expect_failure(83, "offload_optimizer: {device: nvme, path: FOLDER}", "plan", "sibling.yaml", "--ranks", "1", "--set", "memory.limit=300MiB", ranks=0)
        status, out, err = self.run_program("plan", "sibling.yaml", "--ranks", "1", "--set", "memory.limit=300MiB", *on_disk(), ranks=0)
        self.assertEqual((status, err), (0, ""), out)

    def test_nothing_is_left_in_the_folder_while_a_run_lasts_or_when_it_is_killed(self):
        for ranks in (0, 2):
            process = self.start("train.yaml", *on_disk(), "--set", "training.steps=100000", "--set", f"run.name=killed{ranks}", ranks=ranks)
            self.wait_for_step(f"killed{ranks}")
            self.assertEqual(os.listdir(self.folder / "asleep"), [])
            for rank in self.processes():
                os.kill(int(rank), 9)
            process.communicate(timeout=WITHIN)
            self.wait_until_gone()
            self.assertEqual(os.listdir(self.folder / "asleep"), [])

    def test_the_trace_shows_what_runs_beside_what(self):
        status, out, err = self.run_program("train.yaml", *on_disk(), "--set", "metrics.trace_steps=2")
        self.assertEqual(status, 0, out + err)
        events = json.loads((self.folder / "runs/train/trace.json").read_text())["traceEvents"]
        lanes = {event["tid"]: event["args"]["name"] for event in events if event["ph"] == "M"}
        spans = {(lanes[event["tid"]], event["name"]) for event in events if event["ph"] == "X"}
        for span in (("compute", "forward of blocks.0"), ("compute", "backward of blocks.1"), ("up", "fetch blocks.0"), ("up reads", "fetch blocks.0"),
                     ("down", "gradient of blocks.1"), ("down writes", "gradient of blocks.1"), ("update", "update blocks.0"), ("down", "send frame of blocks.0"), ("up", "fetch frame of blocks.0"),
                     ("update writes", "update blocks.0")):
            self.assertIn(span, spans)
        self.assertEqual(sum(event["name"] == "update" and event["ph"] == "X" for event in events), 2, "of two steps")
        for event in events:
            self.assertTrue(event["ph"] == "M" or (event["ts"] >= 0 and event["dur"] >= 0), event)

    def test_a_place_that_cannot_be_used_is_named(self):
        for path, status, message in (("nowhere", 73, "offload path nowhere: No such file or directory"), ("/dev/shm", 78, "/dev/shm is tmpfs, which is memory"),
                                      ("text.txt", 73, "offload path text.txt")):
            for ranks in (0, 2):
                self.expect_failure(status, message, "train.yaml", *on_disk(path), "--set", f"run.name=bad-{status}-{ranks}-{path[:3].strip('/')}", ranks=ranks)


if __name__ == "__main__":
    unittest.main(verbosity=2)
