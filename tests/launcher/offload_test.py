"""What sleeps on disk or in host memory, as users run it. Usage: offload_test.py ZERORUN MPIRUN"""
import contextlib
import ctypes
import errno
import json
import os
import pathlib
import resource
import struct
import subprocess
import time
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


def refuse_io_uring():
    """A filter of system calls, as containers have: io_uring_setup is not permitted."""
    libc = ctypes.CDLL(None, use_errno=True)
    load, jump_if_equal, answer = 0x20, 0x15, 0x06
    numbers = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
    lines = [(load, 0, 0, 4), (jump_if_equal, 0, 2, numbers[os.uname().machine]), (load, 0, 0, 0), (jump_if_equal, 1, 0, 425), (answer, 0, 0, 0x7FFF0000),
             (answer, 0, 0, 0x00050000 | errno.EPERM)]
    code = b"".join(struct.pack("HBBI", *line) for line in lines)
    memory = ctypes.create_string_buffer(code)
    program = struct.pack("HxxxxxxP", len(lines), ctypes.addressof(memory))
    if libc.prctl(38, 1, 0, 0, 0) != 0 or libc.prctl(22, 2, ctypes.c_char_p(program), 0, 0) != 0:  # no new privileges; a filter
        os._exit(99)


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
        plan = ("plan", "sibling.yaml", "--ranks", "1")
        status, out, err = self.run_program(*plan, "--json", ranks=0)
        limit = json.loads(out)["memory"][0]["process_peak"]["baseline"] + LIMIT
        self.expect_failure(83, "offload_optimizer: {device: nvme, path: FOLDER}", *plan, "--set", f"memory.limit={limit}", ranks=0)
        status, out, err = self.run_program(*plan, "--set", f"memory.limit={limit}", *on_disk(), ranks=0)
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
        self.assertEqual(sum(event["name"] == "forward of head" for event in events), 2, "of two steps")
        for event in events:
            self.assertTrue(event["ph"] == "M" or (event["ts"] >= 0 and event["dur"] >= 0), event)

    def losses(self, run):
        return [step["loss"] for step in self.metrics(run)]

    def test_where_io_uring_is_not_permitted_threads_read_and_write_and_a_note_says_so(self):
        status, out, err = self.run_program("train.yaml", *on_disk(), ranks=0)
        self.assertEqual(status, 0, out + err)
        refused = subprocess.run([ZERORUN, "train.yaml", *on_disk(), "--set", "run.name=refused"], cwd=self.folder, env=ENVIRONMENT, text=True, capture_output=True,
                                 stdin=subprocess.DEVNULL, timeout=WITHIN, preexec_fn=refuse_io_uring)
        self.assertEqual(refused.returncode, 0, refused.stdout + refused.stderr)
        self.assertIn("note: offload path asleep: io_uring cannot be used (Operation not permitted), so threads read and write, which is slower", refused.stdout)
        self.assertEqual(self.losses("refused"), self.losses("train"))

    def test_two_runs_share_a_folder(self):
        runs = [self.start("train.yaml", *on_disk(), "--set", f"run.name={name}", ranks=2) for name in ("one", "other")]
        for run in runs:
            out, err = run.communicate(timeout=WITHIN)
            self.assertEqual(run.returncode, 0, out + err)
        self.assertEqual(self.losses("one"), self.losses("other"))

    def change_what_sleeps(self, change, *options):
        """Of a run under way, by change(file) on its nameless files, again and again until it ends. What it says."""
        process = self.start("train.yaml", *on_disk(), "--set", "training.steps=100000", *options, ranks=0)
        self.wait_for_step("train")
        files = []
        for entry in pathlib.Path(f"/proc/{process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed in between
                if "/asleep/" in os.readlink(entry):
                    files.append(os.open(entry, os.O_RDWR))
        end = time.monotonic() + WITHIN
        while process.poll() is None and time.monotonic() < end:
            for file in files:
                change(file)
            time.sleep(0.01)
        for file in files:
            os.close(file)
        out, err = process.communicate(timeout=WITHIN)
        self.assertEqual(process.returncode, 74, out + err)
        self.assertEqual(err.count("zerorun: "), 1, err)
        return err

    def test_what_is_lost_of_a_file_ends_the_run(self):
        self.assertRegex(self.change_what_sleeps(lambda file: os.ftruncate(file, 4096)), r"offload path asleep: \d+ bytes at \d+ cannot be read: Input/output error")

    def test_what_changes_on_the_disk_ends_the_run_where_it_is_verified(self):
        err = self.change_what_sleeps(lambda file: os.pwrite(file, os.urandom(65536), 0), "--set", "zero_optimization.verify_extents=true")
        self.assertIn("what sleeps on disk has changed", err)

    def test_a_place_that_cannot_be_used_is_named(self):
        for path, status, message in (("nowhere", 73, "offload path nowhere: No such file or directory"), ("/dev/shm", 78, "/dev/shm is tmpfs, which is memory"),
                                      ("text.txt", 73, "offload path text.txt")):
            for ranks in (0, 2):
                self.expect_failure(status, message, "train.yaml", *on_disk(path), "--set", f"run.name=bad-{status}-{ranks}-{path[:3].strip('/')}", ranks=ranks)


if __name__ == "__main__":
    unittest.main(verbosity=2)
