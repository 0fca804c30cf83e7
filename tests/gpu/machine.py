"""What the scripts of this folder share: the machine in words, running a command within a limit, trainings of zerorun, results as JSON lines."""
import argparse
import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent


def query(fields):
    """What nvidia-smi says of the first GPU: a list of strings, or None where there is none."""
    try:
        done = subprocess.run(["nvidia-smi", "-i", "0", f"--query-gpu={fields}", "--format=csv,noheader,nounits"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return [word.strip() for word in done.stdout.strip().splitlines()[0].split(",")]


def torch_version():
    path = pathlib.Path(os.environ.get("ZERORUN_TORCH_DIR", "")) / "torch" / "version.py"
    found = re.search(r"__version__ = '([^']+)'", path.read_text(encoding="utf-8")) if path.exists() else None
    return found.group(1) if found else "unknown"


def describe():
    device, driver = query("name,driver_version") or ("cpu", None)
    return {"device": device, "driver": driver, "torch": torch_version()}


def write_line(folder, part, **values):
    """Adds a line to FOLDER/PART.jsonl and returns what it says."""
    line = {"part": part, **describe(), **values}
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f"{part}.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    return line


class Failed(Exception):
    pass


signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended too


def stop(process):
    """Ends it with all that it started: what is left on a GPU is in everybody's figures. mpirun ends its ranks where it is asked to."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)


def run(command, seconds, environment=None, cwd=None, log=None):
    """What it printed to its standard output; Failed, with the end of all that it printed, where it fails or takes longer. All goes to the file `log` too."""
    words = [str(word) for word in command]
    with tempfile.TemporaryDirectory() as name:
        out, err = pathlib.Path(name) / "out", pathlib.Path(name) / "err"
        reason = None
        with open(out, "wb") as to_out, open(err, "wb") as to_err:
            with subprocess.Popen(words, env={**os.environ, **(environment or {})}, cwd=cwd, stdin=subprocess.DEVNULL, stdout=to_out, stderr=to_err,
                                  start_new_session=True) as process:
                try:
                    if process.wait(seconds) != 0:
                        reason = f"ended with {process.returncode}"
                except subprocess.TimeoutExpired:
                    reason = f"not done after {seconds:.0f} s"
                finally:
                    if process.poll() is None:
                        stop(process)
        text, errors = (path.read_text(encoding="utf-8", errors="replace") for path in (out, err))
    if log:
        log.write_text(text + errors, encoding="utf-8")
    if reason:
        raise Failed(f"{' '.join(words)}: {reason}:\n{(text + errors)[-3000:]}")
    return text


class DeviceMemory:
    """The most bytes of the first GPU that were in use while it lives, as the driver counts them, of all processes, beyond what was in use before."""

    def __init__(self):
        self.before, self.peak, self.ended = self.used(), 0, threading.Event()
        self.thread = threading.Thread(target=self.watch)

    @staticmethod
    def used():
        values = query("memory.used")
        return int(values[0]) << 20 if values else None

    def watch(self):
        while not self.ended.wait(0.1):
            self.peak = max(self.peak, (self.used() or 0) - self.before)

    def __enter__(self):
        if self.before is not None:
            self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        if self.thread.is_alive():
            self.thread.join()


def parser():
    """What every script of trainings is told."""
    told = argparse.ArgumentParser()
    told.add_argument("--out", type=pathlib.Path, required=True)
    told.add_argument("--zerorun", default="zerorun")
    told.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    return told


def write_tokens(path, vocabulary, count=1 << 16):
    """Text of a language that is easy to learn: half of the tokens follow from the one before."""
    state, token, out = 1, 0, bytearray()
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        draw = state >> 33
        token = (token * 7 + 3) % vocabulary if draw & 1 else (draw >> 1) % (1 + (draw >> 20) % vocabulary)
        out += token.to_bytes(2, "little")
    path.write_bytes(out)


def train(zerorun, folder, settings, ranks=1, seconds=400, environment=None):
    """Runs a training in FOLDER/run. Returns (lines of metrics.jsonl, report.json). settings is the configuration; JSON is YAML."""
    folder.mkdir(parents=True)
    settings = {**settings, "run": {**settings.get("run", {}), "name": "run", "dir": str(folder / "run")}}
    configuration = folder / "train.yaml"
    configuration.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    launch = ["mpirun", "--oversubscribe", "--bind-to", "none", "-np", ranks] if ranks > 1 else []
    run([*launch, zerorun, configuration], seconds, environment)
    lines = (folder / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines], json.loads((folder / "run" / "report.json").read_text(encoding="utf-8"))


@contextlib.contextmanager
def timed(out, part, **values):
    """Writes a line for what is done within: passed where nothing is raised. What it does to the yielded dictionary is in the line too."""
    found, start, reason = {}, time.perf_counter(), None
    try:
        yield found
    except Failed as error:
        reason = str(error)
    line = write_line(out, part, **values, **found, passed=reason is None, seconds=round(time.perf_counter() - start, 2),
                      **({"reason": reason} if reason else {}))
    named = " ".join(f"{key}={value}" for key, value in {**values, **found}.items() if not isinstance(value, (list, dict)))
    print(f"{'PASS' if line['passed'] else 'FAIL'} {part} {named} ({line['seconds']} s)" + (f"\n{reason}" if reason else ""), flush=True)
