"""One truth under mpirun: stages, on the device and asleep, x ranks x tied x optimizers x threads x micro-batches, each with one of {gpt2, llama} x dtypes x recompute
in turn, run as users run them. Usage: lattice_test.py ZERORUN MPIRUN
With ZERORUN_FULL=1 the whole lattice, else one combination of the other settings for each number of ranks."""
import itertools
import os
import unittest

from program import Program

STAGES = (0, 1, 2, 3)
# What sleeps: the optimizer, in host memory or on disk; at stage 3 all.
ASLEEP = {1: {"zero_optimization.offload_optimizer.device": "cpu"},
          2: {"zero_optimization.offload_optimizer.device": "nvme", "zero_optimization.offload_optimizer.path": "."},
          3: {"zero_optimization.offload_param.device": "nvme", "zero_optimization.offload_param.path": ".",
              "zero_optimization.offload_optimizer.device": "nvme", "zero_optimization.offload_optimizer.path": "."}}
FAMILIES = {
    "gpt2": {"model.dropout": "0.1"},
    "llama": {"model.family": "llama", "model.intermediate_size": 50, "model.num_key_value_heads": 1, "model.layer_norm_eps": "null"},
}
# ranks, tied, optimizer, threads, micro-batches, (family, dtype, recompute)
COVER = ((1, "true", "SGD", 2, 3, ("gpt2", "bf16", "full")), (2, "false", "AdamW", 1, 1, ("llama", "fp32", "none")),
         (3, "true", "AdamW", 1, 3, ("gpt2", "fp16", "none")), (4, "false", "SGD", 2, 1, ("llama", "bf16", "full")))
KINDS = itertools.cycle(itertools.product(("llama", "gpt2"), ("fp32", "bf16", "fp16"), ("none", "full")))
WHOLE = tuple((*settings, next(KINDS)) for settings in itertools.product((1, 2, 3, 4), ("true", "false"), ("AdamW", "SGD"), (1, 2), (1, 3)))


class Lattice(Program):
    def train(self, stage, asleep, ranks, tied, optimizer, threads, micro_batches, kind):
        family, dtype, recompute = kind
        name = f"stage{stage}{'-asleep' if asleep else ''}-ranks{ranks}-tied_{tied}-{optimizer}-threads{threads}-micro_batches{micro_batches}-{family}-{dtype}-{recompute}"
        hosts = {1: ranks, 3: 2 if ranks % 2 == 0 else 1}.get(stage, 1)  # pretended: the bits are the same on any
        overrides = {
            "comm.pretend_hosts": hosts,
            "run.name": name, "run.threads": threads, "training.steps": 5, "training.seq_len": 13,
            "training.global_batch_size": 36, "training.micro_batch_size": 36 // ranks // micro_batches,
            "model.hidden_size": 36, "model.num_attention_heads": 3, "model.tie_word_embeddings": tied,
            "optimizer.name": optimizer, "optimizer.lr": "0.1" if optimizer == "SGD" else "1.0e-3", "zero_optimization.stage": stage,
            "precision.param_dtype": dtype, "activation_checkpoint.mode": recompute, "metrics.export_hf": "false", **FAMILIES[family], **(ASLEEP[stage] if asleep else {}),
        }
        status, out, err = self.run_program("train.yaml", *(word for key, value in overrides.items() for word in ("--set", f"{key}={value}")),
                                            ranks=ranks)
        self.assertEqual(status, 0, out + err)
        return name

    def expect_true(self, report):
        for rank in report["memory"]:
            for name, bytes_ in [*rank["categories"].items(), ("total", rank["total"])]:
                self.assertEqual(bytes_["predicted"], bytes_["measured"], name)
        for name, line in report["communication"].items():
            self.assertEqual(line["bytes_sent"], line["predicted_bytes_sent"], name)

    def test_stages_give_the_same_bits_and_the_bytes_that_were_predicted(self):
        for ranks, *others in WHOLE if os.environ.get("ZERORUN_FULL") == "1" else COVER:
            steps = []
            for stage, asleep in [(stage, False) for stage in STAGES] + [(stage, True) for stage in ASLEEP]:
                with self.subTest(stage=stage, asleep=asleep, ranks=ranks, others=others):
                    name = self.train(stage, asleep, ranks, *others)
                    self.expect_true(self.report(name))
                    steps.append([(s["loss"], s["grad_norm"], s.get("validation_loss")) for s in self.metrics(name)])
                    self.assertEqual(len(steps[-1]), 5)
                    self.assertEqual(steps[-1], steps[0])


if __name__ == "__main__":
    unittest.main(verbosity=2)
