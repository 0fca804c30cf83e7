"""`zerorun bench ladder` at a small size: predicted memory is measured, states are what the formula says. Usage: ladder_test.py ZERORUN MPIRUN"""
import json
import unittest

from program import Program

HIDDEN, LAYERS, LENGTH, VOCABULARY = 64, 3, 11, 3
SMALL = ("--hidden-size", str(HIDDEN), "--layers", str(LAYERS), "--heads", "2", "--steps", "2", "--batch", "16")
PARAMETERS = LAYERS * (12 * HIDDEN**2 + 13 * HIDDEN) + (2 * VOCABULARY + LENGTH + 2) * HIDDEN
RUNGS = ["whole", "half", "quarter", "accumulation", "recompute", "momentum", "sgd", "bf16", "sharded", "sharded-bf16", "sharded-offload", "bf16-offload", "offload"]
BYTES = dict.fromkeys(RUNGS, 16) | {"momentum": 12, "sgd": 8, "sharded-offload": 4, "bf16-offload": 2, "offload": 0}
ASLEEP = {"sharded-offload", "bf16-offload", "offload"}  # 16 bytes each, the weights that were updated too
SHARDED = {"sharded", "sharded-bf16", "sharded-offload"}


class Ladder(Program):
    def ladder(self, *options, ranks=0):
        status, out, err = self.run_program("bench", "ladder", *SMALL, "--json", *options, ranks=ranks)
        self.assertEqual(status, 0, out + err)
        return json.loads(out)

    def check_memory(self, rung):
        """Predicted is measured, to the byte; a row sum of attention that workers do not allocate all at once, up to 1 KiB a further thread."""
        slack = 1024 * (rung["threads"] - 1)
        memory = rung["memory"]
        for name, bytes_ in memory["categories"].items():
            if name in ("activations", "workspace"):
                self.assertLessEqual(bytes_["measured"], bytes_["predicted"], name)
                self.assertLessEqual(bytes_["predicted"] - bytes_["measured"], slack, name)
            else:
                self.assertEqual(bytes_["predicted"], bytes_["measured"], name)
        self.assertEqual(memory["categories"]["unscoped"]["measured"], 0)
        self.assertLessEqual(memory["total"]["measured"], memory["total"]["predicted"])
        self.assertLessEqual(memory["total"]["predicted"] - memory["total"]["measured"], slack)

    def check_states(self, rung):
        """Copies of the parameters over the ranks, and at stage 3 the gathered units, where processes do not read them in place."""
        gathered = rung["memory"]["categories"]["gathered"]["measured"]
        self.assertEqual(rung["state_bytes_per_parameter"], BYTES[rung["name"]])
        if rung["name"] == "offload" or (rung["name"] in SHARDED and rung["ranks_of_process"] > 1):
            block = (12 * HIDDEN**2 + 13 * HIDDEN) * (2 if rung["dtype"] == "bf16" else 4)
            self.assertGreaterEqual(gathered, 2 * block)
            self.assertLess(gathered, 2.2 * block)
        else:
            self.assertEqual(gathered, 0)
        host = rung["memory"]["categories"]["host"]["measured"]
        asleep = 16 * PARAMETERS / rung["ranks"] if rung["name"] in ASLEEP else 0
        self.assertGreaterEqual(host, asleep)
        self.assertLessEqual(host, asleep + 5 * 4096 * 2 * (LAYERS + 3) if asleep else 0, "each part of a group is rounded up")
        for which in ("predicted", "measured"):
            self.assertAlmostEqual(rung["states"][which] - gathered, BYTES[rung["name"]] * PARAMETERS / rung["ranks"], delta=1)

    def test_every_rung_takes_what_was_predicted_and_its_states_are_copies_of_the_parameters(self):
        for ranks in (0, 2):
            ladder = self.ladder(ranks=ranks)
            self.assertEqual(ladder["parameters"], PARAMETERS)
            self.assertEqual([rung["name"] for rung in ladder["rungs"]], RUNGS)
            for rung in ladder["rungs"]:
                with self.subTest(rung=rung["name"], mpi=ranks):
                    self.assertIsNone(rung["not_run"])
                    self.check_memory(rung)
                    self.check_states(rung)
                    sharded = rung["name"] in SHARDED
                    self.assertEqual(rung["ranks"], 2 if sharded else 1)
                    self.assertEqual(rung["ranks_of_process"], 2 if sharded and not ranks else 1)
                    self.assertGreater(rung["seconds_per_step"], 0)
                    self.assertAlmostEqual(rung["samples_per_second"] * rung["seconds_per_step"], rung["samples"], delta=1e-6)

    def test_each_rung_but_the_smaller_batches_is_the_same_training(self):
        rungs = {rung["name"]: rung for rung in self.ladder()["rungs"]}
        whole = rungs["whole"]
        self.assertEqual({name: rung["samples"] for name, rung in rungs.items() if rung["samples"] != 16}, {"half": 8, "quarter": 4})
        for name in ("accumulation", "recompute", "sharded", "sharded-offload", "offload"):
            self.assertAlmostEqual(rungs[name]["last_loss"], whole["last_loss"], delta=1e-5, msg=name)
        for name in ("bf16", "sharded-bf16", "bf16-offload"):
            self.assertAlmostEqual(rungs[name]["last_loss"], whole["last_loss"], delta=0.02, msg=name)
        totals = {name: rung["memory"]["total"]["measured"] for name, rung in rungs.items()}
        descent = [totals[name] for name in ("whole", "accumulation", "recompute", "momentum", "sgd")]
        self.assertEqual(descent, sorted(descent, reverse=True), "each rung takes less")
        self.assertLess(totals["sharded"], totals["recompute"])

    def test_a_process_peak_is_the_rungs_own_whatever_ran_before_it(self):
        status, out, err = self.run_program("bench", "ladder", "--hidden-size", "256", "--layers", "4", "--heads", "4", "--steps", "1", "--rows",
                                            "whole,half,sharded", "--json", ranks=0)
        self.assertEqual(status, 0, err)
        rungs = json.loads(out)["rungs"]
        self.assertGreater(rungs[0]["memory"]["total"]["measured"], rungs[1]["memory"]["total"]["measured"] + (32 << 20))
        for rung in rungs:
            peak = rung["memory"]["process_peak"]
            self.assertLess(abs(peak["predicted"] - peak["measured"]), 16 << 20, (rung["name"], peak))

    def test_the_table_has_a_row_for_each_rung_asked_for(self):
        status, out, err = self.run_program("bench", "ladder", *SMALL, "--rows", "sgd,whole,sharded", ranks=3)
        self.assertNotEqual(status, 0, "16 samples do not divide over 3 ranks")
        self.assertIn("--batch 16", err)
        status, out, err = self.run_program("bench", "ladder", *SMALL, "--rows", "sgd,whole,sharded", ranks=4)
        self.assertEqual(status, 0, err)
        lines = out.splitlines()
        rows = lines[lines.index("") + 2:][:3]
        self.assertEqual([row.split("  ")[0].strip() or "with SGD" for row in rows], ["batch 16", "with SGD", "+ 4 ranks, ZeRO stage 3, 4 x 1"])
        self.assertEqual(len({len(line) for line in lines[lines.index("") + 1:][:4]}), 1, "aligned:\n" + out)
        self.assertLessEqual(max(map(len, lines)), 125)
        self.assertTrue(rows[0].endswith("+0.0 %    +0.0 %"), out)
        self.assertNotIn("target", out)

    def test_a_rung_that_does_not_fit_is_predicted_and_the_others_go_on(self):
        huge = ("--hidden-size", "65536", "--layers", "96", "--heads", "64", "--rows", "whole,sgd", "--json")
        status, out, err = self.run_program("bench", "ladder", *huge, ranks=0)
        self.assertEqual(status, 0, err)
        for rung in json.loads(out)["rungs"]:
            self.assertIn("needs", rung["not_run"])
            self.assertGreater(rung["memory"]["total"]["predicted"], 2**40)
            self.assertNotIn("measured", rung["memory"]["total"])

    def test_what_it_does_not_know_is_told(self):
        for ranks in (0, 2):
            self.expect_failure(64, "--rows names shraded (did you mean sharded?)", "bench", "ladder", "--rows", "shraded", ranks=ranks)
        self.expect_failure(78, "gpt2-lagre", "bench", "ladder", "--preset", "gpt2-lagre", ranks=0)
        self.expect_failure(78, "the 11 positions", "bench", "ladder", "--seq-len", "12", ranks=0)
        self.expect_failure(64, "--batch 6", "bench", "ladder", "--batch", "6", ranks=0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
