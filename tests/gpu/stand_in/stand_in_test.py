"""zerorun on GPUs that stand in: what ranks with GPUs of their own, and ranks that share one, train, take and say. Usage: stand_in_test.py ZERORUN_ON_STAND_IN MPIRUN"""
import hashlib
import json
import os
import pathlib
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "launcher"))
import program  # noqa: E402  (the folder is known only now)

GPU = ("--set", "run.device=cuda")
LLAMA = ("--set", "model.family=llama", "--set", "model.intermediate_size=88")
SHARED = ("--set", "comm.allow_shared_gpu=true")
ASLEEP = ("--set", "zero_optimization.offload_param.device=cpu", "--set", "zero_optimization.offload_optimizer.device=cpu",
          "--set", "activation_checkpoint.mode=full")


class StandIn(program.Program):
    def setUp(self):
        super().setUp()
        self.gpus(2)

    def gpus(self, count, **more):
        program.ENVIRONMENT.update(STAND_IN_GPUS=str(count), STAND_IN_USE=str(self.folder / "use"), STAND_IN_SEED="0", STAND_IN_BYTES=str(1 << 30))
        program.ENVIRONMENT.update(more)
        program.ENVIRONMENT.pop("CUDA_VISIBLE_DEVICES", None)
        (self.folder / "use").unlink(missing_ok=True)  # of processes that were killed

    def train(self, name, *options, ranks=2):
        """Losses, norms of gradients and weights at the end; what the run took is checked."""
        status, out, err = self.run_program("train.yaml", "--set", f"run.name={name}", *options, ranks=ranks)
        self.assertEqual(status, 0, out + err)
        lines = [line for line in self.metrics(name) if "loss" in line]
        weights = hashlib.sha256((self.folder / "runs" / name / "hf" / "model.safetensors").read_bytes()).hexdigest()
        if "run.device=cuda" in options:
            for rank in self.report(name)["memory"]:
                for category, bytes_of in {**rank["categories"], "total": rank["total"]}.items():
                    self.assertEqual(bytes_of["measured"], bytes_of["predicted"], f"{name}, rank {rank['rank']}: {category}")
                self.assertEqual(rank["gpu"]["reserved"]["measured"], rank["gpu"]["reserved"]["predicted"], name)
                self.assertEqual(rank["gpu"]["used"]["measured"], rank["gpu"]["used"]["predicted"], name)
        return [line["loss"] for line in lines], [line["grad_norm"] for line in lines], weights

    def expect_near(self, got, wanted, within):
        self.assertEqual(len(got), len(wanted))
        for a, b in zip(got, wanted):
            self.assertLess(abs(a - b), within * abs(b), (got, wanted))

    def test_losses_are_those_of_processors(self):
        for name, family in (("gpt2", ()), ("llama", LLAMA)):
            plain, _, _ = self.train(name + "-processor", "--set", "run.device=cpu", *family)
            for dtype, within in (("fp32", 1e-5), ("bf16", 1e-2)):
                got, _, _ = self.train(f"{name}-{dtype}", *GPU, *family, "--set", f"precision.param_dtype={dtype}")
                self.expect_near(got, plain, within)

    def test_stages_give_the_same_bits_over_nccl_and_through_the_host(self):
        for way, options in (("own", ()), ("staged", SHARED)):
            self.gpus(1 if options else 2)
            first = self.train(f"{way}-0", *GPU, *options, "--set", "zero_optimization.stage=0")
            for stage in (1, 2, 3):
                self.assertEqual(self.train(f"{way}-{stage}", *GPU, *options, "--set", f"zero_optimization.stage={stage}"), first, f"{way}, stage {stage}")

    def test_bits_do_not_depend_on_when_streams_get_on(self):
        first = self.train("first", *GPU, *ASLEEP, *LLAMA)
        for seed in ("1", "2", "3"):
            self.gpus(2, STAND_IN_SEED=seed)
            self.assertEqual(self.train("seed-" + seed, *GPU, *ASLEEP, *LLAMA), first, f"seed {seed}")

    def test_not_strict_learns_as_much(self):
        strict, _, _ = self.train("strict", *GPU)
        fast, _, _ = self.train("fast", *GPU, "--set", "run.determinism=fast")
        self.expect_near(fast, strict, 1e-4)

    def asked_in(self, stage, steps):
        """What a rank asked of its GPU in a training of so many steps."""
        self.gpus(2, STAND_IN_COUNTS=str(self.folder / "counts"))
        status, out, err = self.run_program("train.yaml", *GPU, "--set", f"run.name={stage}-{steps}", "--set", f"zero_optimization.stage={stage}", "--set", f"training.steps={steps}",
                                            "--set", "run.determinism=fast", "--set", "training.eval_interval=100", "--set", "metrics.export_hf=false")
        program.ENVIRONMENT.pop("STAND_IN_COUNTS")
        self.assertEqual(status, 0, out + err)
        return json.loads((self.folder / "counts").read_text())

    def test_the_host_waits_once_a_step_for_whether_to_update(self):
        for stage in (0, 3):
            few, many = (self.asked_in(stage, steps) for steps in (3, 7))
            self.assertEqual(many["host_waits"] - few["host_waits"], 4, f"stage {stage}: {few}, {many}")
            self.assertGreater(many["kernels"] - few["kernels"], 4 * 40)

    def test_a_trace_says_where_it_lacks_the_gpu(self):
        """CUDA's tools know no GPU that stands in."""
        status, out, err = self.run_program("train.yaml", *GPU, "--set", "run.name=traced", "--set", "metrics.trace_steps=2")
        self.assertEqual(status, 0, out + err)
        self.assertIn("note: trace.json has only what the host did: what the GPU does cannot be recorded: ", out)
        events = json.loads((self.folder / "runs" / "traced" / "trace.json").read_text())["traceEvents"]
        self.assertIn("compute", {event["args"]["name"] for event in events if event["name"] == "thread_name"})

    def rates_of_the_gpu(self):
        """As `bench rates` would leave them, with the figures of the processor: what stands in has none."""
        status, out, err = self.run_program("bench", "rates", "--device", "cpu", "--mib", "64", "--json", ranks=0)
        self.assertEqual(status, 0, out + err)
        rates = {**json.loads(out), "threads": 2}
        rates["gpu"] = {"name": "a stand-in for a GPU", "memory_bytes": 1 << 30, "multiprocessors": 132, "context_bytes": 1, "workspace_bytes": 1}
        rates["parameters_per_second"]["host_adamw"] = rates["parameters_per_second"]["adamw"]
        rates["flops_per_second"]["tf32"] = rates["flops_per_second"]["fp32"]
        (self.folder / "rates.json").write_text(json.dumps(rates))

    def test_bench_offload_takes_the_memory_of_the_gpu_that_it_said(self):
        self.rates_of_the_gpu()
        for ranks in (1, 2):
            status, out, err = self.run_program("bench", "offload", "train.yaml", "--json", "--steps", "1", *GPU, "--set", "run.threads=2", ranks=ranks)
            self.assertEqual((status, err), (0, ""), out)
            bench = json.loads(out)
            self.assertEqual(bench["device"], "a stand-in for a GPU")
            totals = {}
            for row in bench["rows"]:
                self.assertEqual(row["memory"]["total"]["measured"], row["memory"]["total"]["predicted"], row["what"] + row["mode"])
                self.assertEqual(row["memory"]["gpu"]["reserved"]["measured"], row["memory"]["gpu"]["reserved"]["predicted"], row["what"] + row["mode"])
                self.assertGreater(row["seconds_per_step"], 0)
                totals[row["what"], row["mode"]] = row["memory"]["total"]["measured"]
            self.assertLess(totals["training", "blocked"], totals["training", "none"])

    def test_what_was_trained_is_evaluated_and_goes_on_as_on_processors(self):
        self.train("made", *GPU)
        told = {}
        for device in ("cuda", "cpu"):
            options = ("--set", f"run.device={device}", "--set", "model.hf_path=runs/made/hf")
            status, out, err = self.run_program("evaluate", "train.yaml", "--json", *options)
            self.assertEqual((status, err), (0, ""), out)
            told[device] = json.loads(out)["loss"]
        self.assertLess(abs(told["cuda"] - told["cpu"]), 1e-5 * told["cpu"])
        texts = []
        for gpus in (2, 0):
            self.gpus(gpus)
            for more in ((), ("--offload", "cpu")):
                status, out, err = self.run_program("generate", "--hf", "runs/made/hf", "--tokens", "73,116,32", "--max-tokens", "8", "--json", *more)
                self.assertEqual(status, 0, out + err)
                texts.append(json.loads(out)["tokens"])
        self.assertEqual(texts, texts[:1] * 4)

    def test_bench_inference_takes_the_memory_of_the_gpu_that_it_said(self):
        status, out, err = self.run_program("bench", "inference", "train.yaml", "--prompt-tokens", "4", "--new-tokens", "5", "--json", *GPU, ranks=1)
        self.assertEqual((status, err), (0, ""), out)
        bench = json.loads(out)
        self.assertEqual(bench["memory"][0]["total"]["measured"], bench["memory"][0]["total"]["predicted"])

    def test_ranks_that_share_a_gpu_by_mistake_are_refused(self):
        self.gpus(1)
        self.expect_failure(78, "share one GPU", "train.yaml", *GPU)

    def test_no_gpu_where_one_is_asked_for(self):
        self.gpus(0)
        self.expect_failure(78, "run.device is cuda, but CUDA finds no GPU", "train.yaml", *GPU)

    def expect_refusal(self, variable, value, message):
        self.gpus(2, **{variable: value})
        self.expect_failure(78, message, "train.yaml", *GPU)
        program.ENVIRONMENT.pop(variable)

    def test_a_driver_that_is_too_old_a_gpu_that_is_held_and_another_nccl_are_refused(self):
        self.expect_refusal("STAND_IN_DRIVER", "12040", "the NVIDIA driver knows CUDA 12.4, and zerorun was built with 13.0; a newer driver is needed")
        self.expect_refusal("STAND_IN_BUSY", "1", "another process may hold it alone")
        self.expect_refusal("STAND_IN_NCCL", "22005", "has loaded NCCL 2.20.5, but zerorun was built with 2.28.9")

    def test_a_gpu_that_is_nearly_full_is_refused_before_the_first_step(self):
        self.gpus(2, STAND_IN_BYTES=str(293 << 20))
        self.expect_failure(83, "this run needs 4.00 MiB of the GPU, 1.00 MiB more than is free (3.00 MiB of 293.00 MiB): activations ", "train.yaml", *GPU)
        self.gpus(1, STAND_IN_BYTES=str((2 * 290 + 3) << 20))
        self.expect_failure(83, "this run needs 2.00 MiB of the GPU for each of 2 ranks, 1.00 MiB more than is free", "train.yaml", *GPU, *SHARED)

    def test_a_gpu_that_runs_full_is_told_with_what_would_help(self):
        forced = (*GPU, "--set", "memory.fail_if_predicted_over=false", "--set", "metrics.export_hf=false")
        self.gpus(1, STAND_IN_BYTES=str(289 << 20))
        self.expect_failure(83, "GPU 0 (a stand-in for a GPU) is nearly full: ", "train.yaml", *forced, ranks=1)
        for free, when, vocabulary in ((4, "before the first step", 65536), (6, r"(for|back)ward of [a-z0-9.]+, step 1", 4096)):
            self.gpus(1, STAND_IN_BYTES=str((290 + free) << 20))
            process = self.start("train.yaml", *forced, "--set", "training.micro_batch_size=12", "--set", f"model.vocab_size={vocabulary}", ranks=1)
            self.expect_end(process, 83, rf"rank 0, ({when}): no memory on the GPU for .* of its {(290 + free) << 20} bytes are free; this rank holds .*; of what the run takes, ")

    def test_the_word_is_with_the_rank_that_knows_also_where_nccl_cannot_be_ended(self):
        for how in ("ends", "hangs"):  # rank 1's GPU runs full while rank 0 waits for it
            self.gpus(2, STAND_IN_BYTES=f"{1 << 30},{296 << 20}", STAND_IN_ABORT=how)
            process = self.start("train.yaml", *GPU, "--set", "memory.fail_if_predicted_over=false", "--set", "model.vocab_size=4096", "--set", f"run.name={how}")
            self.expect_end(process, 83, r"rank 1, (for|back)ward of [a-z0-9.]+, step 1: no memory on the GPU for .*; of what the run takes, ")
        program.ENVIRONMENT.pop("STAND_IN_ABORT")

    def start_and_signal(self, number, timeout):
        """A training whose rank 1 gets the signal in the middle of it."""
        process = self.start("train.yaml", *GPU, "--set", "training.steps=100000", "--set", "training.eval_interval=100000", "--set", f"comm.timeout_seconds={timeout}")
        self.wait_for_step()
        victim = next(found for found in self.processes() if self.rank_of(found) == 1)
        os.kill(int(victim), number)
        return process

    def test_a_rank_that_stops_is_noticed_by_those_that_wait_for_it(self):
        process = self.start_and_signal(signal.SIGSTOP, 12)
        in_nccl = r"rank 0 \(of ranks 0 to 1\) has waited for its peers for 12 s in (all_gather|reduce_scatter) of .* step \d+\)"
        self.expect_end(process, 82, f"({in_nccl}|.*rank 1 )")  # or between steps, where the host waits

    def test_a_rank_that_dies_ends_the_job(self):
        process = self.start_and_signal(signal.SIGKILL, 20)
        _, err = process.communicate(timeout=program.WITHIN)
        self.assertNotEqual(process.returncode, 0)
        self.assertIn("rank 1", err)
        self.wait_until_gone()


unittest.main()
