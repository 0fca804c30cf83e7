"""zerorun as others use it: installed, found by find_package, built against, run. Called with CMAKE BUILD SOURCE MPIRUN first.

The build without MPI is configured always, and built whole with ZERORUN_FULL=1 (it compiles everything once more).
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

CMAKE, BUILD, SOURCE, MPIRUN = sys.argv.pop(1), pathlib.Path(sys.argv.pop(1)), pathlib.Path(sys.argv.pop(1)), sys.argv.pop(1)
WORK = BUILD / "library_test"
ENVIRONMENT = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
CONFIG = """
run: {threads: 1}
model: {family: gpt2, vocab_size: 256, hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2, max_position_embeddings: 16}
data: {train: text.txt, format: bytes}
training: {steps: 4, global_batch_size: 6, micro_batch_size: 6, seq_len: 16}
optimizer: {lr: 1.0e-2}
"""


def run(*command, status=0, cwd=None):
    done = subprocess.run([str(word) for word in command], cwd=cwd, env=ENVIRONMENT, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != status:
        raise AssertionError(f"{' '.join(map(str, command))} returned {done.returncode}:\n{done.stdout[-6000:]}")
    return done.stdout


def cached(name):
    return re.search(rf"^{name}:\w+=(.*)$", (BUILD / "CMakeCache.txt").read_text(), re.MULTILINE).group(1)


def install(build, prefix):
    shutil.rmtree(prefix, ignore_errors=True)
    run(CMAKE, "--install", build, "--prefix", prefix)


def build_consumer(prefix, folder):
    """From nothing: a stale cache would not notice a package that has moved."""
    shutil.rmtree(folder, ignore_errors=True)
    launcher = ["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []
    run(CMAKE, "-G", "Ninja", "-S", SOURCE / "tests/library/consumer", "-B", folder, f"-DCMAKE_PREFIX_PATH={prefix}",
        f"-DZERORUN_EXAMPLES={SOURCE / 'examples'}", "-DCMAKE_BUILD_TYPE=Release", *launcher)
    run(CMAKE, "--build", folder)


class Library(unittest.TestCase):
    def expect_falling(self, output, factor):
        losses = [float(loss) for loss in re.findall(r"^step \d+ loss (\S+)$", output, re.MULTILINE)]
        self.assertEqual(len(losses), 20, output)
        self.assertLess(losses[-1], factor * losses[0], output)

    def expect_exact_prediction(self, output):
        lines = re.findall(r"^(\w+) +predicted +(\d+) measured +(\d+)$", output, re.MULTILINE)
        self.assertEqual(len(lines), 11, output)
        for name, predicted, measured in lines:
            self.assertEqual(predicted, measured, name)
        self.assertGreater(int(dict((name, bytes_) for name, bytes_, _ in lines)["total"]), 0)


class Installed(Library):
    @classmethod
    def setUpClass(cls):
        install(BUILD, WORK / "prefix")
        build_consumer(WORK / "prefix", WORK / "consumer")

    def test_the_custom_trainer_on_threads_and_under_mpirun(self):
        for ranks in ([], [MPIRUN, "--oversubscribe", "-np", "2"], [MPIRUN, "--oversubscribe", "-np", "3"]):
            with self.subTest(ranks=ranks):
                output = run(*ranks, WORK / "consumer/custom_trainer")
                self.expect_falling(output, 0.7)
                self.expect_exact_prediction(output)

    def test_the_custom_model(self):
        self.expect_falling(run(WORK / "consumer/custom_model"), 0.5)

    def test_a_core_folder_of_the_users_own(self):
        self.assertRegex(run(WORK / "consumer/own_core"), r"^78 model.hidden_size 10 does not divide")

    def test_no_installed_header_includes_by_a_name_that_a_user_may_have(self):
        headers = list((WORK / "prefix/include").rglob("*.h"))
        self.assertGreater(len(headers), 30)
        for header in headers:
            for target in re.findall(r'#include "([^"]+)"', header.read_text()):
                self.assertTrue(target.startswith("zerorun/"), f"{header}: {target}")
                self.assertTrue((WORK / "prefix/include" / target).exists(), f"{header}: {target} is not installed")

    def test_the_installed_program_runs(self):
        self.assertRegex(run(WORK / "prefix/bin/zerorun", "--version"), r"^zerorun \d")


class WithoutMpi(Library):
    @classmethod
    def setUpClass(cls):
        cls.build = WORK / "without_mpi"
        shutil.rmtree(cls.build, ignore_errors=True)
        run(CMAKE, "-G", "Ninja", "-S", SOURCE, "-B", cls.build, "-DCMAKE_BUILD_TYPE=Release", "-DZERORUN_MPI=OFF",
            "-DZERORUN_WARNINGS_AS_ERRORS=ON", f"-DZERORUN_TORCH_DIR={cached('ZERORUN_TORCH_DIR')}")

    def test_nothing_of_mpi_is_looked_for(self):
        self.assertNotIn("MPI_C", (self.build / "CMakeCache.txt").read_text())
        self.assertNotIn("libmpi", (self.build / "build.ninja").read_text())

    def expect_training_on_one_rank(self, program):
        folder = WORK / "run_without_mpi"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / "train.yaml").write_text(CONFIG)
        (folder / "text.txt").write_text("It was the best of times, it was the worst of times. " * 40)
        self.assertIn("done after step 4", run(program, "train.yaml", cwd=folder))
        failure = run(MPIRUN, "--oversubscribe", "-np", "2", program, "train.yaml", status=78, cwd=folder)
        self.assertIn("started as one of 2 ranks, but this zerorun was built without MPI and runs on one; build it with -DZERORUN_MPI=ON", failure)
        failure = run(program, "train.yaml", "--set", "comm.backend=mpi", "--set", "run.name=b", status=78, cwd=folder)
        self.assertIn("comm.backend is mpi, but this zerorun was built without MPI", failure)

    def test_the_program_trains_on_one_rank(self):
        self.expect_training_on_one_rank(BUILD / "tests/library/zerorun_without_mpi")

    if os.environ.get("ZERORUN_FULL"):
        def test_everything_builds_and_trains(self):
            run(CMAKE, "--build", self.build)
            self.expect_training_on_one_rank(self.build / "launcher/zerorun")
            install(self.build, WORK / "prefix_without_mpi")
            build_consumer(WORK / "prefix_without_mpi", WORK / "consumer_without_mpi")
            output = run(WORK / "consumer_without_mpi/custom_trainer")
            self.expect_falling(output, 0.7)
            self.expect_exact_prediction(output)
            self.expect_falling(run(WORK / "consumer_without_mpi/custom_model"), 0.5)


if __name__ == "__main__":
    unittest.main()
