"""`zerorun generate` as its users meet it. Usage: generate_test.py ZERORUN MPIRUN REFERENCE_MODELS"""
import json
import pathlib
import subprocess
import sys
import unittest

REFERENCE_MODELS = pathlib.Path(sys.argv.pop(3)).resolve()

from program import ENVIRONMENT, MPIRUN, WITHIN, ZERORUN, Program  # noqa: E402


def reference(model):
    expected = json.loads((REFERENCE_MODELS / model / "expected.json").read_text())
    return str(REFERENCE_MODELS / model / "hf"), ",".join(map(str, expected["prompt"])), expected


class Ids(Program):
    def test_greedy_tokens_are_those_of_transformers_on_one_rank_and_on_two(self):
        for model in ("gpt2-tiny", "llama-tiny", "llama-wide-head"):
            folder, prompt, expected = reference(model)
            for ranks, more in ((0, ()), (0, ("--no-cache",)), (2, ()), (0, ("--offload", "cpu")), (2, ("--offload", "nvme", "--offload-path", "."))):
                status, out, err = self.run_program("generate", "--hf", folder, "--tokens", prompt, "--max-tokens", "16", *more, ranks=ranks)
                self.assertEqual((status, err), (0, ""), out)
                self.assertEqual(out, " ".join(map(str, expected["greedy"])) + "\n", (model, ranks, more))

    def test_json_tells_tokens_and_times(self):
        folder, prompt, expected = reference("llama-tiny")
        status, out, err = self.run_program("generate", "--hf", folder, "--tokens", prompt, "--max-tokens", "16", "--json")
        self.assertEqual((status, err), (0, ""))
        told = json.loads(out)
        self.assertEqual((told["ranks"], told["prompt"], told["tokens"], told["stopped"]), (2, expected["prompt"], expected["greedy"], "max tokens"))
        self.assertEqual(told["cache_bytes"], 2 * 3 * 2 * 16 * 1 * (8 + 16 - 1) * 4)
        self.assertGreater(told["prefill_seconds"], 0)
        step = told["decode_step_seconds"]
        self.assertTrue(0 < step["p50"] <= step["p90"] <= step["p99"], step)
        self.assertAlmostEqual(step["mean"] * 15, told["decode_seconds"], delta=1e-9)
        self.assertAlmostEqual(told["decode_tokens_per_second"] * told["decode_seconds"], 15, delta=1e-6)

    def test_one_token_has_no_decoding_to_tell_of(self):
        folder, prompt, expected = reference("llama-tiny")
        told = json.loads(self.run_program("generate", "--hf", folder, "--tokens", prompt, "--max-tokens", "1", "--json", ranks=0)[1])
        self.assertEqual((told["tokens"], told["decode_step_seconds"], told["decode_tokens_per_second"]), (expected["greedy"][:1], None, None))

    def test_draws_are_of_the_seed_and_not_of_the_ranks(self):
        folder, prompt, _ = reference("gpt2-tiny")

        def draw(*more, ranks=0, seed="3"):
            status, out, err = self.run_program("generate", "--hf", folder, "--tokens", prompt, "--temperature", "1.1", "--top-k", "80",
                                                "--top-p", "0.9", "--seed", seed, *more, ranks=ranks)
            self.assertEqual(status, 0, err)
            return out

        text = draw("--max-tokens", "30")
        self.assertEqual(draw("--max-tokens", "30", ranks=3), text)
        self.assertEqual(draw("--max-tokens", "30", "--no-cache"), text)
        self.assertNotEqual(draw("--max-tokens", "30", seed="4"), text)

    def test_a_full_context_ends_the_text_and_is_told(self):
        folder, prompt, _ = reference("gpt2-tiny")  # 64 positions
        status, out, err = self.run_program("generate", "--hf", folder, "--tokens", prompt, "--max-tokens", "57")
        self.assertEqual((status, len(out.split())), (0, 56))
        self.assertIn("note: the context of 64 tokens is full after 56 of 57 tokens", err)
        status, out, err = self.run_program("generate", "--hf", folder, "--tokens", prompt, "--max-tokens", "56")
        self.assertEqual((status, len(out.split()), err), (0, 56, ""))

    def test_reduced_precision_generates(self):
        folder, prompt, expected = reference("gpt2-tiny")
        for dtype in ("bf16", "fp16"):
            told = json.loads(self.run_program("generate", "--hf", folder, "--tokens", prompt, "--max-tokens", "4", "--param-dtype", dtype, "--json")[1])
            self.assertEqual((told["tokens"], told["cache_bytes"]), (expected["greedy"][:4], 2 * 3 * 64 * 11 * 2))


class Text(Program):
    def setUp(self):
        super().setUp()
        status, out, err = self.run_program("train.yaml", "--set", "training.steps=40", "--set", "optimizer.lr=1.0e-2")
        self.assertEqual(status, 0, out + err)

    def generate(self, *arguments, ranks=0, stdin=b""):
        launcher = [MPIRUN, "--oversubscribe", "-np", str(ranks)] if ranks else []
        process = subprocess.run([*launcher, ZERORUN, "generate", *arguments], cwd=self.folder, env=ENVIRONMENT, input=stdin, capture_output=True,
                                 timeout=WITHIN, check=False)
        self.assertEqual(process.returncode, 0, process.stderr)
        return process.stdout

    def test_a_run_writes_on_in_bytes(self):
        text = self.generate("--hf", "runs/train/hf", "--prompt", "It was ", "--max-tokens", "9")
        self.assertEqual(len(text), 10)
        self.assertEqual(text[-1:], b"\n")
        self.assertEqual(self.generate("--hf", "runs/train/hf", "--prompt", "It was ", "--max-tokens", "9", ranks=2), text)
        self.assertEqual(self.generate("--hf", "runs/train", "--prompt", "It was ", "--max-tokens", "9"), text, "the folder of the run will do")
        self.assertEqual(self.generate("--hf", "runs/train", "--prompt", "-", "--max-tokens", "9", stdin=b"It was "), text, "standard input")
        self.assertEqual(self.generate("--hf", "runs/train", "--prompt", "-", "--max-tokens", "9", stdin=b"It was ", ranks=2), text)
        ids = self.generate("--hf", "runs/train", "--tokens", ",".join(str(b) for b in b"It was "), "--max-tokens", "9")
        self.assertEqual(bytes(map(int, ids.split())), text[:-1], "ids in, ids out")

    def test_bad_prompts(self):
        self.expect_failure(65, "the prompt is longer than the context", "generate", "--hf", "runs/train", "--prompt", "seventeen letters")
        self.expect_failure(65, "the prompt fills the context", "generate", "--hf", "runs/train", "--prompt", "sixteen  letters", ranks=0)
        self.expect_failure(65, "the prompt is empty", "generate", "--hf", "runs/train", "--prompt", "-")


class BadInput(Program):
    def refuse(self, status, message, *arguments, ranks=(0, 2)):
        for n in ranks:
            self.expect_failure(status, message, "generate", *arguments, ranks=n)

    def test_the_folder(self):
        self.refuse(64, "--hf DIR is missing", "--tokens", "1")
        self.refuse(66, "nowhere", "--hf", "nowhere", "--tokens", "1")

    def test_the_prompt(self):
        folder, _, _ = reference("gpt2-tiny")
        self.refuse(64, "give --prompt TEXT or --tokens", "--hf", folder)
        self.refuse(64, "not both", "--hf", folder, "--tokens", "1", "--prompt", "a", ranks=[0])
        self.refuse(64, "a vocabulary of 257 tokens", "--hf", folder, "--prompt", "text")
        self.refuse(64, "the prompt is empty", "--hf", folder, "--tokens", "", ranks=[0])
        self.refuse(65, "the token 257 is outside the vocabulary of 257", "--hf", folder, "--tokens", "1,257")
        for words in ("1,x", "1,,2", "1,2,", "-1", "1 2", "1.5", "99999999999999999999"):
            self.refuse(64, "expected numbers such as 1,2,3", "--hf", folder, "--tokens=" + words, ranks=[0])
        self.refuse(65, "longer than the context", "--hf", folder, "--tokens", ",".join(["1"] * 65))

    def test_the_numbers(self):
        folder, _, _ = reference("gpt2-tiny")
        for option, value, message in (("temperature", "-1", "temperature is -1"), ("temperature", "nan", "temperature is nan"),
                                       ("temperature", "warm", "expected a number"), ("top-p", "0", "top-p is 0"), ("top-p", "1.5", "top-p is 1.5"),
                                       ("top-k", "-2", "top-k is -2"), ("top-k", "1.5", "expected a whole number"), ("max-tokens", "0", "--max-tokens is 0"),
                                       ("max-tokens", "1e3", "expected a whole number"), ("seed", "-1", "expected a whole number"),
                                       ("param-dtype", "fp8", "expected fp32, bf16 or fp16"), ("colour", "red", "unrecognised option")):
            self.refuse(64, message, "--hf", folder, "--tokens", "1", f"--{option}={value}", ranks=[0])
        self.refuse(64, "top-p is 2", "--hf", folder, "--tokens", "1", "--top-p", "2", ranks=[2])


if __name__ == "__main__":
    unittest.main(verbosity=2)
