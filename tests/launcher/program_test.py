"""The program as its users meet it: what it prints, leaves behind and returns. Usage: program_test.py ZERORUN MPIRUN [SUITE]"""
import json
import os
import subprocess
import tempfile
import unittest

from program import CONFIG, ENVIRONMENT, MPIRUN, WITHIN, ZERORUN, Program


class Training(Program):
    def test_a_run_leaves_config_metrics_and_a_true_report(self):
        status, out, err = self.run_program("train.yaml")
        self.assertEqual(status, 0, out + err)
        self.assertIn("predicted", out)
        steps = self.metrics()
        self.assertEqual([s["step"] for s in steps], [1, 2, 3, 4])
        self.assertEqual(["validation_loss" in s for s in steps], [False, True, False, True])
        self.assertLess(steps[-1]["loss"], steps[0]["loss"])
        self.assertEqual(steps[0]["tokens"], 12 * 16)
        report = self.report()
        self.assertEqual((report["world_size"], report["stage"], report["steps"]["count"]), (2, 3, 4))
        for rank in report["memory"]:
            for name, bytes_ in rank["categories"].items():
                self.assertEqual(bytes_["predicted"], bytes_["measured"], name)
            self.assertEqual(rank["categories"]["unscoped"]["measured"], 0)
            self.assertEqual(rank["total"]["predicted"], rank["total"]["measured"])
            self.assertEqual(rank["padding"]["predicted"], rank["padding"]["measured"])
            states = sum(rank["categories"][name]["measured"] for name in ("parameters", "gradients", "optimizer"))
            self.assertAlmostEqual(states - rank["padding"]["measured"], 16 / 2 * report["parameters"], delta=1)
        for name, line in report["communication"].items():
            self.assertEqual(line["bytes_sent"], line["predicted_bytes_sent"], name)
        self.assertGreater(report["communication"]["all_gather"]["bytes_sent"], 0)

    def test_steps_that_overflow_in_fp16_are_skipped_and_told(self):
        fp16 = ("precision.param_dtype=fp16", "precision.fp16.initial_scale_power=32", "precision.fp16.hysteresis=1", "training.steps=30")
        status, out, err = self.run_program("train.yaml", *(word for o in fp16 for word in ("--set", o)))
        self.assertEqual(status, 0, out + err)
        steps = self.metrics()
        skipped = [s["step"] for s in steps if s.get("skipped")]
        self.assertEqual(skipped, list(range(1, len(skipped) + 1)), "the first steps, until the scale fits")
        self.assertGreater(len(skipped), 0)
        self.assertEqual([s["loss_scale"] for s in steps][:len(skipped) + 1], [2.0 ** (32 - i) for i in range(len(skipped) + 1)])
        self.assertIn(f"{len(skipped)} steps overflowed in fp16", out)
        self.assertEqual(self.report()["steps"]["skipped"], len(skipped))

    def test_a_scale_that_cannot_fall_is_a_non_finite_run(self):
        self.expect_failure(80, "smallest loss scale", "train.yaml", "--set", "precision.param_dtype=fp16", "--set", "precision.fp16.initial_scale_power=32",
                            "--set", "precision.fp16.hysteresis=1", "--set", "precision.fp16.min_loss_scale=4294967296")

    def test_a_llama_trains_and_reports_truly(self):
        llama = ("model.family=llama", "model.intermediate_size=40", "model.num_key_value_heads=1", "model.head_dim=10", "optimizer.lr=1.0e-2")
        status, out, err = self.run_program("train.yaml", *(word for o in llama for word in ("--set", o)))
        self.assertEqual(status, 0, out + err)
        steps = self.metrics()
        self.assertLess(steps[-1]["loss"], steps[0]["loss"])
        for rank in self.report()["memory"]:
            self.assertEqual(rank["total"]["predicted"], rank["total"]["measured"])

    def test_without_mpirun_it_is_a_group_of_one_and_agrees(self):
        self.run_program("train.yaml", "--set", "run.name=two")
        status, out, err = self.run_program("train.yaml", "--set", "run.name=one", "--set", "training.micro_batch_size=12", ranks=0)
        self.assertEqual(status, 0, out + err)
        for one, two in zip(self.metrics("one"), self.metrics("two")):
            self.assertAlmostEqual(one["loss"], two["loss"], delta=1e-5)

    def test_the_resolved_configuration_runs_again(self):
        self.run_program("train.yaml")
        status, out, err = self.run_program("runs/train/config.yaml", "--set", "run.dir=runs/again", "--set", "run.name=again")
        self.assertEqual(status, 0, out + err)
        self.assertEqual([s["loss"] for s in self.metrics("again")], [s["loss"] for s in self.metrics("train")])


class ProcessPeak(Program):
    def test_the_process_peak_is_predicted_within_3_percent(self):
        large = ["model.hidden_size=512", "model.num_hidden_layers=8", "model.num_attention_heads=8", "model.vocab_size=8192",
                 "model.tie_word_embeddings=false", "training.steps=2", "training.eval_interval=0"]
        for stage, name in ((0, "whole"), (3, "sharded")):
            overrides = [*large, f"zero_optimization.stage={stage}", f"run.name={name}"]
            status, out, err = self.run_program("train.yaml", *(word for o in overrides for word in ("--set", o)))
            self.assertEqual(status, 0, out + err)
            for rank in self.report(name)["memory"]:
                peak = rank["process_peak"]
                if stage == 0:
                    self.assertGreater(peak["measured"], 512 << 20)
                self.assertLess(abs(peak["predicted"] / peak["measured"] - 1), 0.03, peak)


class Planning(Program):
    def test_a_plan_is_what_the_run_predicts(self):
        status, out, err = self.run_program("plan", "train.yaml", "--ranks", "2", "--json", ranks=0)
        self.assertEqual(status, 0, err)
        plan = json.loads(out)
        self.run_program("train.yaml")
        report = self.report()
        self.assertEqual(len(plan["memory"]), 2)
        for planned, ran in zip(plan["memory"], report["memory"]):
            for name, bytes_ in planned["categories"].items():
                self.assertEqual(bytes_["predicted"], ran["categories"][name]["predicted"], name)
        for name, line in plan["communication"].items():
            self.assertEqual(line["predicted_bytes_sent"], report["communication"][name]["predicted_bytes_sent"], name)

    def test_a_plan_needs_no_data_where_none_is_validated(self):
        status, out, err = self.run_program("plan", "train.yaml", "--ranks", "2", "--set", "data.train=nowhere.txt", "--set",
                                            "data.validation=null", "--set", "training.eval_interval=0", ranks=0)
        self.assertEqual(status, 0, err)
        self.assertRegex(out, r"gathered +0 ")

    def test_a_plan_for_gpus_needs_none(self):
        def planned(ranks, *arguments):
            status, out, err = self.run_program("plan", "train.yaml", "--ranks", str(ranks), "--hosts", str(ranks), "--json", *arguments, ranks=0)
            self.assertEqual(status, 0, err)
            return json.loads(out)["memory"][0]
        gpu, page = ("--set", "run.device=cuda"), 2 << 20
        on_gpu, on_cpu = planned(2, *gpu), planned(2)
        for category in ("parameters", "gradients", "optimizer", "gathered"):
            self.assertEqual(on_gpu["categories"][category], on_cpu["categories"][category], category)
        alone = planned(1, *gpu)
        resident, reserved = alone["total"]["predicted"] + alone["arena"]["predicted"], alone["gpu"]["reserved"]["predicted"]
        self.assertTrue(resident <= reserved < resident + page and reserved % page == 0, alone)
        self.assertEqual(alone["gpu"]["used"]["predicted"], reserved)
        self.assertGreater(alone["categories"]["host"]["predicted"], 0)
        buffers = on_gpu["gpu"]["reserved"]["predicted"]  # of NCCL, each in pages of its own
        self.assertTrue(buffers % page == 0 and buffers > reserved, on_gpu)
        status, _, err = self.run_program("plan", "train.yaml", "--ranks", "1", *gpu, "--set", "memory.limit=1MiB", ranks=0)
        self.assertEqual(status, 83, err)

    def test_ranks_of_one_host_gather_nothing_and_those_of_two_a_slot(self):
        def gathered(*arguments):
            status, out, err = self.run_program("plan", "train.yaml", "--ranks", "2", "--json", *arguments, ranks=0)
            self.assertEqual(status, 0, err)
            return json.loads(out)["memory"][0]["categories"]["gathered"]["predicted"]
        self.assertEqual(gathered(), 0)
        self.assertGreater(gathered("--hosts", "2"), 0)
        self.assertEqual(gathered("--set", "comm.pretend_hosts=2"), gathered("--hosts", "2"))


class Reporting(Program):
    def test_what_the_start_takes_is_shown_phase_by_phase(self):
        status, out, err = self.run_program("env", "--timing", "--json")
        self.assertEqual(status, 0, err)
        timing = json.loads(out)
        self.assertEqual(timing["ranks"], 2)
        self.assertEqual(list(timing["seconds"]), ["launcher", "program", "mpi", "ranks", "prediction", "model", "first_step", "second_step"])
        self.assertTrue(all(seconds >= 0 for seconds in timing["seconds"].values()), timing)
        status, out, err = self.run_program("env", "--timing", ranks=0)
        self.assertEqual(status, 0, err)
        self.assertRegex(out, r"mpirun, until it starts this rank +none\n")
        self.assertEqual(len(out.splitlines()), 8)

    def test_env_says_the_same_in_lines_and_in_json(self):
        status, out, err = self.run_program("env", "--json", ranks=0)
        self.assertEqual(status, 0, err)
        told = json.loads(out)
        status, lines, err = self.run_program("env", ranks=0)
        self.assertEqual([line.split()[0] for line in lines.splitlines()], list(told))
        self.assertEqual(len({len(line) - len(line.split(maxsplit=1)[1]) for line in lines.splitlines()}), 1, "aligned:\n" + lines)
        self.assertRegex(told["zerorun"], r"^\d+\.\d+\.\d+$")
        self.assertRegex(told["libtorch"], r"^2\.\d+")
        self.assertRegex(told["mpi"], r"^Open MPI")
        self.assertIn("default", told["kernel_instruction_sets"])
        self.assertEqual(told["usable_cores"], len(os.sched_getaffinity(0)))
        self.assertEqual(told["ranks"], 1)
        self.assertGreater(told["memory_at_hand_bytes"], 0)
        self.assertTrue(told["maps_blocks_of_64KiB"])

    def test_env_under_mpirun_comes_once_and_counts_the_ranks(self):
        status, out, err = self.run_program("env", "--json", ranks=2)
        self.assertEqual((status, json.loads(out)["ranks"]), (0, 2), err)

    def test_env_tells_variables_that_matter(self):
        process = subprocess.run([ZERORUN, "env", "--json"], stdout=subprocess.PIPE, text=True, timeout=WITHIN, check=True,
                                 env={**os.environ, "OMP_NUM_THREADS": "3"})
        self.assertEqual(json.loads(process.stdout)["variables"]["OMP_NUM_THREADS"], "3")


class BadInput(Program):
    def test_an_unknown_key(self):
        (self.folder / "train.yaml").write_text(CONFIG.replace("seq_len", "seq_lem"))
        self.expect_failure(78, "train.yaml:5:", "train.yaml")

    def test_a_missing_configuration(self):
        self.expect_failure(66, "nowhere.yaml", "nowhere.yaml")

    def test_an_unknown_preset(self):
        self.expect_failure(78, "gpt2-x1", "train.yaml", "--set", "model.preset=gpt2-x1")

    def test_a_gpu_where_there_is_none(self):
        self.expect_failure(78, "run.device is cuda, but ", "train.yaml", "--set", "run.device=cuda")
        self.assertFalse((self.folder / "runs").exists())

    def test_nccl_without_gpus(self):
        self.expect_failure(78, "comm.backend is nccl, which connects GPUs, but ", "train.yaml", "--set", "comm.backend=nccl")

    def test_a_batch_that_does_not_divide(self):
        self.expect_failure(78, "global_batch_size", "train.yaml", "--set", "training.micro_batch_size=5")

    def test_an_absurd_size(self):
        self.expect_failure(78, "hidden_size", "train.yaml", "--set", "model.hidden_size=1099511627776")

    def test_a_sequence_longer_than_the_positions(self):
        self.expect_failure(78, "max_position_embeddings, which is 16", "train.yaml", "--set", "training.seq_len=17")

    def test_a_missing_data_file(self):
        self.expect_failure(66, "nowhere.txt", "train.yaml", "--set", "data.train=nowhere.txt")

    def test_an_empty_data_file(self):
        (self.folder / "text.txt").write_text("")
        self.expect_failure(65, "text.txt", "train.yaml")

    def test_a_token_outside_the_vocabulary(self):
        self.expect_failure(65, "text.txt", "train.yaml", "--set", "model.vocab_size=100")

    def test_a_memory_limit_that_is_exceeded(self):
        self.expect_failure(83, "memory.limit", "train.yaml", "--set", "memory.limit=1MiB")
        self.assertFalse((self.folder / "runs").exists())

    def test_more_memory_than_the_machine_has(self):
        self.expect_failure(83, "this run needs", "train.yaml", "--set", "model.hidden_size=32768", "--set", "model.num_hidden_layers=48")

    def test_a_run_folder_that_cannot_be_made(self):
        self.expect_failure(73, "text.txt", "train.yaml", "--set", "run.dir=text.txt/run")

    def test_a_run_folder_that_is_taken(self):
        self.run_program("train.yaml")
        before = (self.folder / "runs/train/report.json").read_text()
        self.expect_failure(73, "runs/train", "train.yaml")
        self.assertEqual((self.folder / "runs/train/report.json").read_text(), before)

    def test_a_full_disk(self):
        (self.folder / "runs/train").mkdir(parents=True)
        (self.folder / "runs/train/metrics.jsonl").symlink_to("/dev/full")
        self.expect_failure(74, "metrics.jsonl", "train.yaml")

    def test_a_loss_that_is_not_finite(self):
        self.expect_failure(80, "loss", "train.yaml", "--set", "optimizer.name=SGD", "--set", "optimizer.lr=1000", "--set", "training.max_norm=0",
                            "--set", "training.steps=50")

    def test_a_validation_loss_that_is_not_finite(self):
        self.expect_failure(80, "validation loss", "train.yaml", "--set", "optimizer.name=SGD", "--set", "optimizer.lr=1000", "--set",
                            "training.max_norm=0", "--set", "training.steps=3", "--set", "lr_scheduler.name=constant", "--set",
                            "training.eval_interval=3")

    def test_an_unknown_option(self):
        for ranks in (0, 2):
            self.expect_failure(64, "zerorun --help", "--frobnicate", ranks=ranks)

    def test_help_and_version_come_once(self):
        for option, text in (("--help", "sharded over mpi ranks"), ("--version", "zerorun 0.")):
            status, out, err = self.run_program(option, ranks=2)
            self.assertEqual((status, out.lower().count(text)), (0, 1), out + err)

    def test_standard_output_that_is_full(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            process = subprocess.run([ZERORUN, "plan", "train.yaml", "--ranks", "2"], cwd=self.folder, stdout=full, stderr=subprocess.PIPE,
                                     text=True, timeout=WITHIN, check=False)
        self.assertEqual(process.returncode, 74, process.stderr)
        self.assertIn("standard output", process.stderr)

    def test_a_plan_over_the_memory_limit(self):
        status, out, err = self.run_program("plan", "train.yaml", "--ranks", "2", "--set", "memory.limit=1MiB", ranks=0)
        self.assertEqual(status, 83, err)
        self.assertIn("total", out)
        self.assertIn("memory.limit", err)

    def test_a_named_pipe_as_configuration(self):
        os.mkfifo(self.folder / "pipe.yaml")
        self.expect_failure(66, "named pipe", "pipe.yaml")

    def test_ranks_that_read_different_configurations(self):
        (self.folder / "other.yaml").write_text(CONFIG.replace("lr: 1.0e-3", "lr: 2.0e-3"))
        process = subprocess.run([MPIRUN, "--oversubscribe", "-np", "1", ZERORUN, "train.yaml", ":", "-np", "1", ZERORUN, "other.yaml"],
                                 cwd=self.folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=WITHIN, check=False)
        self.assertEqual(process.returncode, 81, process.stderr)
        self.assertEqual(process.stderr.count("zerorun: "), 1, process.stderr)
        self.assertIn("rank 1 read another configuration", process.stderr)

    def test_ranks_that_read_different_data(self):
        for folder, text in (("a", "the best of times "), ("b", "the worst of times")):
            (self.folder / folder).mkdir()
            (self.folder / folder / "text.txt").write_text(text * 100)
        ranks = [["-np", "1", "-wdir", str(self.folder / folder), ZERORUN, str(self.folder / "train.yaml")] for folder in ("a", "b")]
        process = subprocess.run([MPIRUN, "--oversubscribe", *ranks[0], ":", *ranks[1]], cwd=self.folder, env=ENVIRONMENT, capture_output=True,
                                 text=True, timeout=WITHIN, check=False)
        self.assertEqual(process.returncode, 81, process.stderr)
        self.assertEqual(process.stderr.count("zerorun: "), 1, process.stderr)
        self.assertIn("rank 1 reads other data than rank 0", process.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
