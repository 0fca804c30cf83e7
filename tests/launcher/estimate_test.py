"""`zerorun estimate` as its users meet it. Usage: estimate_test.py ZERORUN MPIRUN [SUITE]"""
import json
import os
import re
import subprocess
import unittest

from program import ENVIRONMENT, WITHIN, ZERORUN, Program

OPT_125M = {"model_type": "opt", "vocab_size": 50272, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "ffn_dim": 3072,
            "max_position_embeddings": 2048, "word_embed_proj_dim": 768, "do_layer_norm_before": True}


class Estimating(Program):
    def estimate(self, *words):
        status, out, err = self.run_program("estimate", *words, ranks=0)
        self.assertEqual((status, err), (0, ""), out)
        return out

    def write_config(self, **changes):
        (self.folder / "model").mkdir(exist_ok=True)
        (self.folder / "model/config.json").write_text(json.dumps({**OPT_125M, **changes}))

    def test_a_model_is_estimated_by_name(self):
        out = self.estimate("--model", "llama-3-70b", "--ranks", "8")
        self.assertIn("70,553,706,496 parameters", out)
        self.assertRegex(out, r"stage 3 +\(2 \+ 2 \+ 12\) P/N +141,107,412,992 +131\.42\n")
        self.assertIn("GiB = 2^30 bytes", out)
        self.assertIn("a whole step, by dry run", out)
        self.assertLessEqual(max(map(len, out.splitlines())), 100)

    def test_deepspeeds_table_comes_first_and_whole(self):
        out = self.estimate("--compat", "deepspeed", "--model", "internvl2_5-2b", "--gpus-per-node", "8", "--nodes", "1")
        table = out.split("\n\n")[0].splitlines()
        self.assertEqual(table[0], "Estimated memory needed for params, optim states and gradients for a:")
        self.assertEqual(table[2], "SW: Model with 2205M total params, 189M largest layer params.")
        self.assertEqual(table[8], "    8.47GB |   5.33GB | offload_param=none, offload_optimizer=none, zero_init=1")
        self.assertEqual(len(table), 10)
        self.assertRegex(out, r"nothing offloaded +5,721,141,504 +4,411,")
        self.assertIn("stage3_max_live_parameters 1e9", out)

    def test_a_config_json_is_estimated_and_not_trained(self):
        self.write_config()
        for path in ("model", "model/config.json"):
            self.assertEqual(json.loads(self.estimate("--hf", path, "--json"))["model"]["parameters"], 125_239_296)
        self.assertIn("zerorun can estimate this model, but not train it: its family is opt", self.estimate("--hf", "model"))
        free = ("--set", "model.vocab_size=null", "--set", "model.hidden_size=null", "--set", "model.num_hidden_layers=null", "--set", "model.num_attention_heads=null",
                "--set", "model.max_position_embeddings=null")
        for setting, says in (("model.hf_path=model", "zerorun can estimate such a model (zerorun estimate --hf model/config.json), but not train it"),
                              ("model.preset=opt-125m", "zerorun can estimate this model (zerorun estimate --model opt-125m), but not train it"),
                              ("model.family=opt", "zerorun can estimate such a model (zerorun estimate --help), but not train it")):
            for words in (("train.yaml",), ("plan", "train.yaml", "--ranks", "2")):
                self.expect_failure(78, says, *words, *free, "--set", setting, ranks=0)

    def test_what_is_wrong_is_one_error(self):
        self.write_config(hidden_size=-1)
        self.expect_failure(65, "model/config.json: hidden_size is -1, expected an integer from 1 to 1048576", "estimate", "--hf", "model", ranks=0)
        self.write_config(num_hidden_layers=2**63)
        self.expect_failure(65, "num_hidden_layers is 9223372036854775808", "estimate", "--hf", "model", ranks=0)
        self.expect_failure(66, "nowhere", "estimate", "--hf", "nowhere", ranks=0)
        self.expect_failure(64, "did you mean gpt2-xl?", "estimate", "--model", "gpt2-x1", ranks=0)
        self.expect_failure(64, "estimate comes before its options", "--json", "estimate", ranks=0)

    def test_under_mpirun_one_rank_speaks(self):
        status, out, err = self.run_program("estimate", "--params", "1e9", "--ranks", "4")
        self.assertEqual(status, 0, err)
        self.assertEqual(out.count("1,000,000,000 parameters"), 1)

    # A plan of the same run, from a configuration: its states are the estimate's, to the byte, and so is the whole.
    def test_a_plan_of_the_same_run_agrees(self):
        (self.folder / "gpt2.yaml").write_text("""
run: {device: cuda, threads: 1}
model: {preset: 124m}
data: {train: text.txt}
training: {steps: 1, global_batch_size: 8, micro_batch_size: 2, seq_len: 64}
precision: {param_dtype: bf16, reduce_dtype: bf16}
optimizer: {name: AdamW, lr: 1.0e-3}
zero_optimization: {stage: 3}
metrics: {export_hf: false}
""")
        status, out, err = self.run_program("plan", "gpt2.yaml", "--ranks", "4", "--json", ranks=0)
        self.assertEqual(status, 0, err)
        planned = json.loads(out)["memory"][0]
        found = json.loads(self.estimate("--model", "124m", "--ranks", "4", "--micro-batch", "2", "--seq-len", "64", "--json"))
        states = sum(planned["categories"][name]["predicted"] for name in ("parameters", "gradients", "optimizer"))
        self.assertEqual(found["stages"][3]["zerorun"]["states"], states)
        dry_run = [row for row in found["dry_runs"] if row["stage"] == 3 and not row["recompute"]][0]
        self.assertEqual(dry_run["memory"]["total"], planned["total"])

    def test_standard_output_that_is_gone_is_an_error(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([ZERORUN, "estimate", "--model", "opt-125m"], env=ENVIRONMENT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=WITHIN, check=False)
        self.assertEqual(done.returncode, 74)

    def test_the_documentation_knows_every_option(self):
        text = (os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "launcher", "README.md"))
        with open(text, encoding="utf-8") as file:
            readme = file.read()
        status, out, _ = self.run_program("--help", ranks=0)
        self.assertEqual(status, 0)
        section = out.split("Options of estimate")[1].split("\n\n")[0]
        for option in set(re.findall(r"--[a-z-]+", section)):
            self.assertTrue(option in readme, f"launcher/README.md lacks {option}")


if __name__ == "__main__":
    unittest.main(verbosity=2)
