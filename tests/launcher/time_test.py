"""What a step takes: the rates of the machine, what plan and report make of them, and `zerorun bench offload`. Usage: time_test.py ZERORUN MPIRUN"""
import json
import os
import unittest

from program import Program

RESOURCES = ["compute", "to_device", "to_host", "disk_read", "disk_write", "update"]
ASLEEP = ("--set", "zero_optimization.offload_param.device=cpu", "--set", "zero_optimization.offload_optimizer.device=cpu")


class Time(Program):
    def rates(self, *options):
        status, out, err = self.run_program("bench", "rates", "--mib", "64", "--json", *options, ranks=0)
        self.assertEqual(status, 0, out + err)
        return json.loads(out)

    def plan(self, *options):
        status, out, err = self.run_program("plan", "train.yaml", "--ranks", "2", "--json", *options, ranks=0)
        self.assertEqual((status, err), (0, ""), out)
        return json.loads(out)["step"]

    def test_rates_are_measured_and_left_where_a_plan_finds_them(self):
        (self.folder / "disk").mkdir()
        rates = self.rates("--path", "disk")
        self.assertEqual(rates["disk"], str(self.folder / "disk"))
        self.assertEqual(os.listdir(self.folder / "disk"), [])
        self.assertEqual(json.loads((self.folder / "rates.json").read_text()), rates)
        self.assertEqual(sorted(rates["bytes_per_second"]), ["device_to_host", "disk_both", "disk_read", "disk_write", "host_to_device", "links", "memory_copy", "memory_triad", "network"])
        self.assertIsNone(rates["bytes_per_second"].pop("network"), "one machine")
        for rate in [*rates["bytes_per_second"].values(), *rates["flops_per_second"].values(), rates["parameters_per_second"]["adamw"]]:
            self.assertGreater(rate, 0)
        status, out, err = self.run_program("bench", "rates", "--mib", "64", ranks=0)
        self.assertEqual(status, 0, out + err)
        self.assertNotIn("disk,", out)
        self.assertIn("written to rates.json, where plan and report find it", out)
        self.assertRegex(out, r"\non the processor, with \d+ threads; --path FOLDER")
        self.expect_failure(78, "--device is cuda, but ", "bench", "rates", "--mib", "64", "--device", "cuda", ranks=0)
        self.expect_failure(64, "--device is 'tpu', expected auto, cpu or cuda", "bench", "rates", "--device", "tpu", ranks=0)
        self.expect_failure(73, "offload path /nowhere: No such file or directory", "bench", "rates", "--mib", "64", "--path", "/nowhere", ranks=0)

    def test_without_rates_a_plan_says_what_a_step_has_to_do_and_how_to_measure(self):
        step = self.plan(*ASLEEP)
        self.assertEqual((step["seconds"], step["bound"]), (None, None))
        self.assertGreater(step["forward"]["compute"]["amount"], 0)
        self.assertGreater(step["backward"]["to_host"]["amount"], 0)
        status, out, err = self.run_program("plan", "train.yaml", "--ranks", "2", ranks=0)
        self.assertEqual(status, 0, err)
        self.assertIn("the time of a step is in the plan once zerorun bench rates has measured the machine", out)

    def test_with_rates_plan_and_report_say_what_a_step_takes_at_least(self):
        rates = self.rates()
        step = self.plan(*ASLEEP)
        phases = (step["forward"], step["backward"], step["update"])
        self.assertAlmostEqual(step["seconds"], sum(max(phase["compute"]["seconds"] + phase["memory"]["seconds"], *(phase[resource]["seconds"] for resource in RESOURCES)) + phase["links"]["seconds"]
                                                    for phase in phases), msg="ranks that share memory send in "
                               "the time of who computes")
        self.assertGreater(step["backward"]["links"]["amount"], 0)
        self.assertIn(step["bound"], [*RESOURCES, "memory", "links"])
        up = step["forward"]["to_device"]
        self.assertAlmostEqual(up["seconds"], 2 * up["amount"] / rates["bytes_per_second"]["host_to_device"], msg="both ranks move")
        blocked = self.plan(*ASLEEP, "--set", "zero_optimization.offload_param.overlap=false", "--set", "zero_optimization.offload_optimizer.overlap=false")
        phases = ("forward", "backward", "update")
        self.assertAlmostEqual(blocked["seconds"], sum(blocked[phase][resource]["seconds"] for phase in phases for resource in [*RESOURCES, "memory", "links"]), msg="nothing is on disk")
        status, out, err = self.run_program("train.yaml", *ASLEEP)
        self.assertEqual(status, 0, out + err)
        self.assertRegex(out, r"a step takes at least \S+ s: forward \S+ s \([a-z ]+\), backward .*; it took \S+ s")
        steps = self.report("train")["steps"]
        self.assertEqual((steps["predicted_seconds"], steps["predicted_bound"]), (step["seconds"], step["bound"]))
        on_disk = self.plan("--set", "zero_optimization.offload_optimizer.device=nvme", "--set", "zero_optimization.offload_optimizer.path=.")
        self.assertIsNone(on_disk["seconds"], "the disk was not measured")

    def test_a_file_of_rates_that_is_none_is_named(self):
        self.rates()
        (self.folder / "rates.json").rename(self.folder / "good.json")
        for text in ("", "{}", '{"host": 1}'):
            (self.folder / "rates.json").write_text(text)
            self.expect_failure(65, "rates.json is not what zerorun bench rates writes", "plan", "train.yaml", "--ranks", "1", ranks=0)
        (self.folder / "rates.json").write_text((self.folder / "good.json").read_text().replace('"adamw": ', '"adamw": -'))
        self.expect_failure(65, "expected rates above 0", "plan", "train.yaml", "--ranks", "1", ranks=0)
        status, out, err = self.run_program("train.yaml")
        self.assertEqual((status, err), (0, ""), "no reason not to train")
        self.assertIn("note: no time is predicted: rates.json is not what zerorun bench rates writes", out)

    def test_bench_offload_has_a_row_for_each_way_and_memory_as_predicted(self):
        self.rates()
        for ranks in (0, 2):
            status, out, err = self.run_program("bench", "offload", "train.yaml", "--json", "--steps", "2", ranks=ranks)
            self.assertEqual((status, err), (0, ""), out)
            bench = json.loads(out)
            self.assertEqual([(row["what"], row["mode"]) for row in bench["rows"]],
                             [(what, mode) for what in ("training", "inference") for mode in ("none", "blocked", "overlapped")])
            for row in bench["rows"]:
                with self.subTest(ranks=ranks, row=(row["what"], row["mode"])):
                    for name, bytes_ in row["memory"]["categories"].items():
                        self.assertEqual(bytes_["predicted"], bytes_["measured"], name)
                    self.assertEqual(row["memory"]["categories"]["host"]["measured"] > 0, row["mode"] != "none")
                    for name, resource in row["resources"].items():
                        self.assertEqual(resource["seconds"] > 0, resource["amount"] > 0, name)
                    self.assertGreater(row["seconds_per_step"], 0)
                    self.assertIn(row["bound"], RESOURCES)
            none, _, overlapped = bench["rows"][:3]
            self.assertLess(overlapped["memory"]["total"]["measured"], none["memory"]["total"]["measured"])
        status, out, err = self.run_program("bench", "offload", "train.yaml", "--set", "zero_optimization.offload_optimizer.device=nvme", "--set",
                                            "zero_optimization.offload_optimizer.path=.", ranks=0)
        self.assertEqual((status, err), (0, ""), out)
        self.assertRegex(out, r"parameters sleep on the device, the optimizer on disk, what blocks read on the device\n")
        self.assertRegex(out, r"training +overlapped .*\n(.*\n)*training, overlapped .*\n(.*\n)*  disk, written +\S+ GB")
        status, out, err = self.run_program("bench", "offload", "train.yaml", "--json", "--set", "activation_checkpoint.mode=full", "--set", "activation_checkpoint.offload=cpu",
                                            "--set", "model.num_hidden_layers=6", ranks=0)
        self.assertEqual((status, err), (0, ""), out)
        none, blocked, overlapped = (row["memory"]["categories"]["activations"]["measured"] for row in json.loads(out)["rows"][:3])
        self.assertTrue(blocked < overlapped < none, (blocked, overlapped, none))
        self.expect_failure(64, "zerorun bench offload takes one configuration", "bench", "offload", ranks=0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
