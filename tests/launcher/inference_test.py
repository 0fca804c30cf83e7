"""`zerorun bench inference`. Usage: inference_test.py ZERORUN MPIRUN"""
import json
import unittest

from program import Program

SHAPE = ("--prompt-tokens", "9", "--new-tokens", "5", "--requests", "4", "--batch", "2")


class Inference(Program):
    def bench(self, *options, ranks=0, shape=SHAPE):
        status, out, err = self.run_program("bench", "inference", "train.yaml", "--json", *shape, *options, ranks=ranks)
        self.assertEqual((status, err), (0, ""), out)
        return json.loads(out)

    def expect_sums(self, phase, count, tokens):
        self.assertEqual(phase["n"], count)
        self.assertAlmostEqual(phase["mean"] * count, phase["total"], delta=1e-9 * phase["total"])
        self.assertAlmostEqual(phase["tokens_per_second"] * phase["total"], count * tokens, delta=1e-6)
        self.assertAlmostEqual(phase["std"], phase["mean"] * phase["std_percent"] / 100, delta=1e-9)
        self.assertTrue(0 < phase["p50"] <= phase["p90"] <= phase["p95"] <= phase["p99"] <= phase["total"], phase)

    def test_counts_and_sums_are_those_of_the_requests(self):
        for ranks in (0, 2):
            with self.subTest(ranks=ranks):
                bench = self.bench(ranks=ranks)
                self.expect_sums(bench["prefill"], 4, 2 * 9)
                self.expect_sums(bench["decode"], 4 * 4, 2)
                self.expect_sums(bench["decodes"], 4, 2 * 4)
                self.expect_sums(bench["request"], 4, 2 * 5)
                self.assertAlmostEqual(bench["decode"]["total"], bench["decodes"]["total"], delta=1e-9)
                self.assertAlmostEqual(bench["request"]["total"], bench["prefill"]["total"] + bench["decode"]["total"], delta=1e-9)
                self.assertEqual((bench["ranks"], bench["stage"], bench["dtype"]), (max(ranks, 1), 3, "fp32"))
                self.assertEqual((bench["prompt_tokens"], bench["new_tokens"], bench["requests"], bench["batch"]), (9, 5, 4, 2))

    def test_memory_is_as_predicted_in_every_category_of_every_rank(self):
        sizes = ("--set", "model.hidden_size=128", "--set", "model.max_position_embeddings=400", "--set", "model.vocab_size=1000")
        long = ("--prompt-tokens", "300", "--new-tokens", "8", "--requests", "2", "--batch", "3")
        ways = ((), ("precision.param_dtype=bf16",), ("zero_optimization.stage=0",), ("zero_optimization.offload_param.device=cpu",),
                ("zero_optimization.offload_param.device=nvme", "zero_optimization.offload_param.path=."))
        for ranks in (0, 2):
            for way in ways:
                with self.subTest(ranks=ranks, way=way):
                    bench = self.bench(*sizes, *(word for key in way for word in ("--set", key)), ranks=ranks, shape=long)
                    self.assertEqual([rank["rank"] for rank in bench["memory"]], list(range(max(ranks, 1))))
                    for rank in bench["memory"]:
                        for name, bytes_ in (*rank["categories"].items(), ("total", rank["total"]), ("arena", rank["arena"])):
                            self.assertEqual(bytes_["predicted"], bytes_["measured"], name)
                        self.assertEqual(rank["categories"]["gradients"]["measured"] + rank["categories"]["optimizer"]["measured"], 0)
                        self.assertGreaterEqual(rank["categories"]["activations"]["measured"], bench["cache_bytes"])
                        asleep = sum(rank["categories"][place]["measured"] for place in ("host", "disk"))
                        self.assertEqual(asleep > 0, any("offload_param" in key for key in way))

    def test_a_cache_takes_the_bytes_of_its_formula(self):
        per_token = 2 * 2 * 32 * 4  # keys and values of 2 layers of 32 in fp32
        bench = self.bench()
        self.assertEqual(bench["cache_bytes"], 2 * (9 + 5 - 1) * per_token)
        self.assertEqual(bench["cache_budget"]["bytes_per_token"], per_token)
        self.assertEqual(self.bench("--set", "precision.param_dtype=bf16")["cache_bytes"], bench["cache_bytes"] // 2)

    def test_the_budget_is_memory_less_weights_and_peak(self):
        for ranks in (0, 2):
            bench = self.bench("--memory", "6GiB", ranks=ranks)
            budget = bench["cache_budget"]
            memory = bench["memory"][budget["rank"]]
            self.assertEqual(budget["memory"], 6 << 30)
            self.assertEqual(budget["weights"], memory["categories"]["parameters"]["measured"])
            self.assertEqual(budget["weights"] + budget["peak"] + bench["cache_bytes"], memory["process_peak"]["measured"])
            self.assertEqual(budget["bytes"], budget["memory"] - budget["weights"] - budget["peak"])
            self.assertEqual(budget["tokens"], budget["bytes"] // budget["bytes_per_token"])
            self.assertEqual(budget["bytes"], min((6 << 30) - rank["process_peak"]["measured"] + bench["cache_bytes"] for rank in bench["memory"]))
        too_small = self.bench("--memory", "1MiB")["cache_budget"]
        self.assertLess(too_small["bytes"], 0)
        self.assertEqual(too_small["tokens"], 0)
        self.assertGreater(self.bench()["cache_budget"]["bytes"], 0, "of what the machine has")

    def test_the_table_says_what_was_done(self):
        status, out, err = self.run_program("bench", "inference", "train.yaml", *SHAPE, "--memory", "6GiB")
        self.assertEqual((status, err), (0, ""), out)
        self.assertRegex(out, r"^\d+ parameters in fp32 \(fresh weights\), stage 3, 2 ranks of 1 thread\n"
                              r"4 requests after one that does not count: 2 x 9 tokens, and 5 new ones each\n\nlatency +prefill +decode +decodes +request\n")
        self.assertRegex(out, r"\n  n +4 +16 +4 +4\n")
        self.assertRegex(out, r"\n  process peak .*\n(.*\n)*keys and values of rank [01]\n  of a request +13.00 KiB   2 x 13 positions of 512 bytes\n  memory +6.00 GiB   --memory\n")
        for line in out.splitlines():
            self.assertLessEqual(len(line), 100, line)

    def test_one_new_token_has_nothing_to_decode(self):
        bench = self.bench(shape=("--prompt-tokens", "15", "--new-tokens", "1", "--requests", "1"))
        self.assertEqual((bench["decode"], bench["decodes"], bench["prefill"]["n"]), (None, None, 1))
        self.assertEqual(bench["prefill"]["total"], bench["request"]["total"])

    def test_the_prompt_is_what_the_positions_leave_unless_it_is_asked_for(self):
        self.assertEqual(self.bench(shape=("--new-tokens", "4", "--requests", "1"))["prompt_tokens"], 12)

    def test_it_takes_the_weights_of_a_run_and_no_data(self):
        status, out, err = self.run_program("train.yaml")
        self.assertEqual(status, 0, out + err)
        (self.folder / "text.txt").unlink()
        self.assertEqual(self.bench("--set", "model.hf_path=runs/train/hf")["weights"], "runs/train/hf")
        self.assertIsNone(self.bench()["weights"])
        self.expect_failure(66, "runs/none/hf", "bench", "inference", "train.yaml", *SHAPE, "--set", "model.hf_path=runs/none/hf")

    def test_what_cannot_be_done_is_one_message(self):
        for ranks in (0, 2):
            self.expect_failure(64, "--requests is 0, expected 1 to", "bench", "inference", "train.yaml", "--requests", "0", ranks=ranks)
            self.expect_failure(64, "zerorun bench inference takes one configuration", "bench", "inference", ranks=ranks)
            self.expect_failure(78, "a prompt of 12 tokens and --new-tokens 5 are 17 positions, but max_position_embeddings of the model is 16", "bench", "inference", "train.yaml",
                                "--prompt-tokens", "12", "--new-tokens", "5", ranks=ranks)
            self.expect_failure(83, "more than memory.limit 1.00 MiB", "bench", "inference", "train.yaml", *SHAPE, "--set", "memory.limit=1MiB", ranks=ranks)
        self.expect_failure(66, "nowhere.yaml", "bench", "inference", "nowhere.yaml")


if __name__ == "__main__":
    unittest.main(verbosity=2)
