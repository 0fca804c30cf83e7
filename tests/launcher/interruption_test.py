"""Runs that are stopped, killed or hang: how they end, and what they say. Usage: interruption_test.py ZERORUN MPIRUN"""
import glob
import os
import signal
import tempfile
import time
import unittest

from program import WITHIN, Program


class Interruption(Program):
    @staticmethod
    def catches(process, number):
        try:
            with open(f"/proc/{process}/status", encoding="utf-8") as status:
                caught = next(line for line in status if line.startswith("SigCgt:"))
        except OSError:
            return False
        return bool(int(caught.split()[1], 16) >> (number - 1) & 1)

    LONG = ("train.yaml", "--set", "training.steps=100000", "--set", "training.eval_interval=0")

    def test_sigint_to_a_single_process_ends_it_in_order(self):
        process = self.start(*self.LONG, "--set", "training.micro_batch_size=12", ranks=0)
        self.wait_for_step()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=WITHIN)
        self.assertEqual(process.returncode, 75, out + err)
        self.assertEqual(self.report()["steps"]["count"], len(self.metrics()))

    def test_sigusr1_to_mpirun_ends_all_ranks_in_order(self):
        process = self.start(*self.LONG)
        self.wait_for_step()
        process.send_signal(signal.SIGUSR1)
        out, err = process.communicate(timeout=WITHIN)
        self.assertEqual(process.returncode, 75, out + err)
        self.assertEqual(self.report()["steps"]["count"], len(self.metrics()))
        self.wait_until_gone()

        self.assertTrue((self.folder / "runs/train/hf/model.safetensors").exists())

    def test_sigterm_to_one_rank_ends_all_in_order(self):
        process = self.start(*self.LONG)
        self.wait_for_step()
        os.kill(int(self.processes()[-1]), signal.SIGTERM)
        out, err = process.communicate(timeout=WITHIN)
        self.assertEqual(process.returncode, 75, out + err)
        self.assertEqual(self.report()["steps"]["count"], len(self.metrics()))
        self.assertTrue((self.folder / "runs/train/hf/model.safetensors").exists())

    def test_ctrl_c_to_mpirun_leaves_nothing_behind(self):
        process = self.start(*self.LONG)
        self.wait_for_step()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=WITHIN)
        self.assertEqual(process.returncode, 1)
        self.wait_until_gone()

    def test_a_killed_mpirun_leaves_nothing_behind(self):
        before = set(os.listdir("/dev/shm"))
        process = self.start(*self.LONG)
        self.wait_for_step()
        process.kill()
        process.communicate(timeout=WITHIN)
        self.wait_until_gone()
        self.assertLessEqual(set(os.listdir("/dev/shm")), before)
        status, out, err = self.run_program("train.yaml", "--set", "training.steps=1", "--set", "run.dir=next")
        self.assertEqual(status, 0, out + err)
        self.assertEqual(glob.glob(f"{tempfile.gettempdir()}/ompi.*/pid.{process.pid}"), [])  # the next start has removed mpirun's folder

    def test_sigusr1_before_the_first_step_ends_in_order(self):
        process = self.start(*self.LONG)
        for _ in range(1000):  # until both catch it: the ranks are at the start of MPI then, or in the dry run
            if sum(self.catches(rank, signal.SIGUSR1) for rank in self.processes()) == 2:
                break
            time.sleep(0.005)
        process.send_signal(signal.SIGUSR1)
        out, err = process.communicate(timeout=WITHIN)
        self.assertEqual(process.returncode, 75, out + err)
        self.wait_until_gone()

    def test_a_killed_rank_is_named_with_what_it_did(self):
        process = self.start(*self.LONG)
        self.wait_for_step()
        victim = self.processes()[-1]
        rank = self.rank_of(victim)
        os.kill(int(victim), signal.SIGKILL)
        self.expect_end(process, 128 + signal.SIGKILL, rf"rank {rank} \(process {victim} on \S+\) was lost in .*, step \d+")

    def test_a_stopped_rank_is_named_when_the_others_have_waited_long_enough(self):
        process = self.start(*self.LONG, "--set", "comm.timeout_seconds=3")
        self.wait_for_step()
        victim = self.processes()[-1]
        rank = self.rank_of(victim)
        os.kill(int(victim), signal.SIGSTOP)
        self.expect_end(process, 82, rf"rank {rank} \(process {victim} on \S+\) is stopped in .*, step \d+; rank {1 - rank} waits in \w+ of .* for 3 s")

    def test_a_rank_that_stops_on_another_host_is_named_though_others_wait_for_those_that_wait_for_it(self):
        for victim in (0, 3):
            process = self.start(*self.LONG, "--set", "comm.timeout_seconds=3", "--set", "comm.pretend_hosts=2", "--set", "training.micro_batch_size=3",
                                 "--set", f"run.dir=runs/{victim}", ranks=4)
            self.wait_for_step(run=str(victim))
            stopped = next(rank for rank in self.processes() if self.rank_of(rank) == victim)
            os.kill(int(stopped), signal.SIGSTOP)
            self.expect_end(process, 82, rf"rank {victim} does not answer, is stopped or cut off; rank \d waits in \w+ of .* for 3 s")


if __name__ == "__main__":
    unittest.main(verbosity=2)
