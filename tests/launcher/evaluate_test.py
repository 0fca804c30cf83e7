"""`zerorun evaluate`: the loss over the whole validation split. Usage: evaluate_test.py ZERORUN MPIRUN"""
import json
import math
import unittest

from program import Program


class Evaluating(Program):
    def evaluate(self, *overrides, ranks=0):
        status, out, err = self.run_program("evaluate", "train.yaml", "--json", *(word for o in overrides for word in ("--set", o)), ranks=ranks)
        self.assertEqual(status, 0, out + err)
        return json.loads(out)

    def test_a_finished_runs_weights_give_the_validation_loss_that_training_reported(self):
        for stage, dtype in ((0, "fp32"), (3, "fp32"), (3, "bf16")):
            settings = (f"zero_optimization.stage={stage}", f"precision.param_dtype={dtype}")
            run = f"{stage}{dtype}"
            status, out, err = self.run_program("train.yaml", "--set", f"run.name={run}", *(word for o in settings for word in ("--set", o)))
            self.assertEqual(status, 0, out + err)
            reported = self.report(run)["steps"]["last_validation_loss"]
            told = self.evaluate(f"model.hf_path=runs/{run}/hf", *settings, ranks=2)
            self.assertEqual(told["loss"], reported, "the same ranks: the same bits")
            for place in (("device=cpu",), ("device=nvme", "path=.")):
                asleep = (f"zero_optimization.offload_param.{word}" for word in place)
                told_asleep = self.evaluate(f"model.hf_path=runs/{run}/hf", *settings, "zero_optimization.stage=3", *asleep, ranks=2)
                self.assertEqual(told_asleep["loss"], reported, "weights that come unit by unit")
                self.assertEqual(told_asleep["memory"]["predicted"], told_asleep["memory"]["measured"])
            alone = self.evaluate(f"model.hf_path=runs/{run}/hf", *settings)
            self.assertAlmostEqual(alone["loss"], reported, delta=1e-12 * reported)
            self.assertEqual((told["weights"], told["ranks"], alone["ranks"]), (f"runs/{run}/hf", 2, 1))
            self.assertEqual(told["tokens"], alone["tokens"])
            self.assertAlmostEqual(told["perplexity"], math.exp(told["loss"]), delta=1e-9 * told["perplexity"])

    def test_every_window_of_the_split_counts_once_whatever_eval_batches_says(self):
        text = 53 * 40
        split = int(0.2 * text)
        windows = (split - 1) // 16
        self.assertNotEqual(windows % 6, 0, "the last batch is partly empty")
        for overrides in ((), ("training.eval_batches=1",)):
            for ranks in (0, 2, 3):
                self.assertEqual(self.evaluate(*overrides, ranks=ranks)["tokens"], windows * 16)

    def test_no_training_state_is_held_and_the_memory_is_what_was_predicted(self):
        sizes = ("model.hidden_size=128", "model.num_hidden_layers=4", "model.tie_word_embeddings=false", "training.micro_batch_size=1")
        for stage, ranks in ((0, 0), (3, 2)):
            memory = self.evaluate(*sizes, f"zero_optimization.stage={stage}", ranks=ranks)["memory"]
            self.assertEqual(memory["predicted"], memory["measured"])
            parameters = 4 * (12 * 128**2 + 13 * 128) + (2 * 256 + 16 + 2) * 128
            self.assertGreater(memory["measured"], 4 * parameters / max(ranks, 1))
            self.assertLess(memory["measured"], 1.6 * 4 * parameters, "training would hold four copies")

    def test_one_line_says_what_was_evaluated(self):
        status, out, err = self.run_program("evaluate", "train.yaml", ranks=2)
        self.assertEqual(status, 0, err)
        self.assertRegex(out, r"^loss 5\.\d+, perplexity 2\d\d\.\d+, 416 tokens, \d+\.\d\d s \(fresh weights, since model.hf_path is not set\)\n$")
        self.run_program("train.yaml")
        status, out, err = self.run_program("evaluate", "train.yaml", "--set", "model.hf_path=runs/train/hf", ranks=0)
        self.assertRegex(out, r"\(weights of runs/train/hf\)\n$")

    def test_it_needs_a_split_and_says_what_to_set(self):
        without = ("--set", "data.validation=null", "--set", "training.eval_interval=0")
        for ranks in (0, 2):
            self.expect_failure(78, "set data.validation to", "evaluate", "train.yaml", *without, ranks=ranks)

    def test_its_errors_are_those_of_a_training(self):
        self.expect_failure(66, "nowhere.yaml", "evaluate", "nowhere.yaml")
        self.expect_failure(66, "runs/none/hf", "evaluate", "train.yaml", "--set", "model.hf_path=runs/none/hf")
        self.expect_failure(83, "this run needs", "evaluate", "train.yaml", "--set", "memory.limit=1MiB")
        self.assertFalse((self.folder / "runs").exists())


if __name__ == "__main__":
    unittest.main(verbosity=2)
