"""Runs that start from Hugging Face folders and leave them. Usage: export_test.py ZERORUN MPIRUN MODELS"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

MODELS = pathlib.Path(sys.argv.pop(3)).resolve()
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "launcher"))
from program import Program  # noqa: E402

PYTHON = os.environ.get("PYTHON_WITH_TRANSFORMERS", sys.executable)
NAMES = ("gpt2-tiny", "llama-tiny", "llama-wide-head")
CONFIG = """
run: {determinism: strict, threads: 1}
model: {hf_path: hf}
data: {train: text.txt, validation: 0.2, format: bytes}
training: {steps: 1, global_batch_size: 4, micro_batch_size: 2, seq_len: 16, eval_batches: 0}
optimizer: {lr: 1.0e-30}
zero_optimization: {stage: 3}
"""


class Folders(Program):
    def setUp(self):
        super().setUp()
        (self.folder / "train.yaml").write_text(CONFIG)

    def start_from(self, name, folder="hf"):
        shutil.rmtree(self.folder / "hf", ignore_errors=True)
        shutil.copytree(MODELS / name / folder, self.folder / "hf")

    def run_well(self, *overrides, ranks=2):
        status, out, err = self.run_program("train.yaml", *(word for o in overrides for word in ("--set", o)), ranks=ranks)
        self.assertEqual(status, 0, out + err)
        return out

    def check(self, run, name, *options):
        done = subprocess.run([PYTHON, HERE / "check_export.py", self.folder / "runs" / run / "hf", MODELS / name, *options],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        print(f"{name}: {done.stdout.strip().splitlines()[-1]}")


class Export(Folders):
    def test_what_was_read_is_written_whatever_the_stage(self):
        for name in NAMES:
            self.start_from(name)
            for stage in (0, 3):
                run = f"{name}-{stage}"
                out = self.run_well(f"run.name={run}", f"zero_optimization.stage={stage}")
                self.assertIn(f"runs/{run}/hf", out)
                self.check(run, name)
                self.assertEqual(sorted(os.listdir(self.folder / "runs" / run / "hf")), ["config.json", "model.safetensors"])

    def test_trained_weights_go_on_where_they_were(self):
        for name in NAMES:
            self.start_from(name)
            self.run_well(f"run.name={name}", "optimizer.lr=1.0e-2", "training.steps=3", "optimizer.name=SGD")
            self.check(name, name, "--trained")
            self.run_well(f"run.name={name}-on", f"model.hf_path=runs/{name}/hf")
            trained, read = (self.report(run)["steps"]["last_validation_loss"] for run in (name, f"{name}-on"))
            self.assertEqual(trained, read)

    def test_shards_are_the_same_model(self):
        self.start_from("llama-wide-head", "hf-sharded")
        self.run_well()
        self.check("train", "llama-wide-head")

    def test_a_model_from_a_preset_is_exported_too(self):
        (self.folder / "train.yaml").write_text(CONFIG.replace("hf_path: hf", "vocab_size: 257, hidden_size: 64, num_hidden_layers: 3, "
                                                               "num_attention_heads: 4, max_position_embeddings: 64"))
        self.run_well()
        self.check("train", "gpt2-tiny", "--trained")

    def test_it_can_be_left_out(self):
        self.start_from("gpt2-tiny")
        self.run_well("metrics.export_hf=false")
        self.assertFalse((self.folder / "runs/train/hf").exists())

    def test_a_run_whose_steps_fit_but_not_its_export_is_refused_before_the_first_step(self):
        """A wide embedding and next to no activations: the export's copy of it is the peak."""
        (self.folder / "train.yaml").write_text(CONFIG.replace("hf_path: hf", "vocab_size: 65536, hidden_size: 64, num_hidden_layers: 1, "
                                                               "num_attention_heads: 2, max_position_embeddings: 16"))
        small = ("--set", "training.seq_len=2", "--set", "training.micro_batch_size=1", "--set", "data.validation=null")
        status, out, err = self.run_program("plan", "train.yaml", "--ranks", "2", "--json", *small, ranks=0)
        self.assertEqual(status, 0, err)
        limit = json.loads(out)["memory"][0]["process_peak"]["predicted"] + (6 << 20)  # the copy takes 16 MiB
        limited = (*small, "--set", f"memory.limit={limit}")
        told = r"this run needs .*: with metrics.export_hf: false it takes \d+\.\d+ MiB, which fits"
        status, out, err = self.run_program("plan", "train.yaml", "--ranks", "2", *limited, ranks=0)
        self.assertEqual(status, 83, out)
        self.assertRegex(out, r"note: after the last step, writing the weights .* 1\d\.\d+ MiB more than the steps")
        self.assertRegex(err, told)
        status, out, err = self.run_program("train.yaml", *limited)
        self.assertEqual(status, 83, out)
        self.assertRegex(err, told)
        self.assertFalse((self.folder / "runs").exists())
        status, out, err = self.run_program("plan", "train.yaml", "--ranks", "2", *limited, "--set", "metrics.export_hf=false", ranks=0)
        self.assertEqual(status, 0, err)
        self.assertNotIn("note:", out)

    def test_a_full_disk_costs_the_weights_but_not_the_report(self):
        self.start_from("gpt2-tiny")
        hf = self.folder / "runs/train/hf"
        hf.mkdir(parents=True)
        (hf / "model.safetensors.partial").symlink_to("/dev/full")
        self.expect_failure(74, "runs/train/hf/model.safetensors.partial: No space left on device", "train.yaml")
        self.assertEqual(self.report()["steps"]["count"], 1)
        self.assertEqual(len(self.metrics()), 1)
        self.assertEqual(os.listdir(hf), [])


class Start(Folders):
    def refuses(self, status, message, *overrides):
        self.expect_failure(status, message, "train.yaml", *(word for o in overrides for word in ("--set", o)))
        self.assertFalse((self.folder / "runs").exists())

    def change_config(self, **changes):
        path = self.folder / "hf/config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    def test_the_family_and_the_sizes_are_the_folders(self):
        self.start_from("llama-wide-head")
        self.run_well()
        config = (self.folder / "runs/train/config.yaml").read_text()
        self.assertRegex(config, "family: llama +# hf/config.json")
        self.assertRegex(config, "head_dim: 32 +# hf/config.json")
        status, out, err = self.run_program("runs/train/config.yaml", "--set", "run.dir=runs/again")
        self.assertEqual(status, 0, out + err)
        self.assertEqual(self.metrics("again")[0]["loss"], self.metrics()[0]["loss"])

    def test_prediction_and_measurement_agree(self):
        self.start_from("llama-tiny")
        self.run_well()
        for rank in self.report()["memory"]:
            self.assertEqual(rank["total"]["predicted"], rank["total"]["measured"])
            self.assertEqual(rank["categories"]["unscoped"]["measured"], 0)

    def test_a_plan_needs_no_weights(self):
        self.start_from("llama-tiny")
        (self.folder / "hf/model.safetensors").unlink()
        status, out, err = self.run_program("plan", "train.yaml", "--ranks", "2", ranks=0)
        self.assertEqual(status, 0, err)
        self.assertIn("162368 parameters", out)

    def test_a_key_that_contradicts_is_named_with_what_the_folder_says(self):
        self.start_from("llama-tiny")
        self.refuses(78, "--set model.hidden_size: model.hidden_size is 32, but hf/config.json says 64", "model.hidden_size=32")
        self.refuses(78, "model.family is gpt2, but hf/config.json says llama", "model.family=gpt2")
        self.refuses(78, "model.rope_theta is 5000, but hf/config.json says 10000", "model.rope_theta=5000")
        self.refuses(78, "model.layer_norm_eps is 1e-05, but hf/config.json holds a llama, which has no such key", "model.layer_norm_eps=1e-5")
        self.refuses(78, "model.preset and model.hf_path both say", "model.preset=124m")
        self.refuses(78, "training.seq_len 256 exceeds model.max_position_embeddings 128", "training.seq_len=256")
        self.run_well("model.hidden_size=64", "model.family=llama")

    def test_what_is_not_there_is_a_missing_input(self):
        self.refuses(66, "nowhere/config.json: No such file", "model.hf_path=nowhere")
        self.start_from("gpt2-tiny")
        (self.folder / "hf/model.safetensors").unlink()
        self.refuses(66, "hf has neither model.safetensors nor")

    def test_weights_that_are_broken_are_bad_data(self):
        self.start_from("gpt2-tiny")
        os.truncate(self.folder / "hf/model.safetensors", 600_000)
        self.refuses(65, "hf/model.safetensors: tensor")
        self.start_from("gpt2-tiny")
        self.change_config(n_layer=2)
        self.refuses(65, "unexpected tensor transformer.h.2.")

    def test_what_is_not_implemented_is_a_configuration_error(self):
        self.start_from("llama-tiny")
        self.change_config(rope_scaling={"rope_type": "linear", "factor": 2})
        self.refuses(78, "hf/config.json: rope_scaling is")

    def test_what_is_read_otherwise_is_noted(self):
        self.start_from("gpt2-tiny")
        self.change_config(attn_pdrop=0.1)
        self.assertIn("note: hf/config.json: attn_pdrop 0.1 is read as 0", self.run_well())


if __name__ == "__main__":
    unittest.main(verbosity=2)
