"""`zerorun plan --search`: the plan that it chooses, and what it refuses. Usage: search_test.py ZERORUN MPIRUN"""
import json
import unittest

from program import Program

RATES = {"host": "played", "threads": 2, "disk": "/played",
         "bytes_per_second": {"memory_copy": 2e10, "memory_triad": 2e10, "host_to_device": 1e10, "device_to_host": 1e10, "disk_read": 1e9, "disk_write": 1e9, "disk_both": 1e9, "links": 1e10,
                              "network": None},
         "flops_per_second": {"fp32": 1e11, "bf16": 1e11, "fp16": 1e11}, "parameters_per_second": {"adamw": 1e9}}
LARGE = ("--set", "model.hidden_size=256", "--set", "model.num_hidden_layers=4", "--set", "training.global_batch_size=96", "--set", "training.steps=2")
MIB = 1 << 20


class Searching(Program):
    def setUp(self):
        super().setUp()
        (self.folder / "rates.json").write_text(json.dumps(RATES))

    def search(self, *options, ranks=2):
        status, out, err = self.run_program("plan", "train.yaml", "--ranks", str(ranks), "--search", "--json", *LARGE, *options, ranks=0)
        self.assertEqual((status, err), (0, ""), out)
        return json.loads(out)

    def peak(self, config, *options):
        """Of both ranks, as `plan` predicts it."""
        status, out, err = self.run_program("plan", config, "--ranks", "2", "--json", *options, ranks=0)
        self.assertEqual((status, err), (0, ""), out)
        return 2 * json.loads(out)["memory"][0]["process_peak"]["predicted"]

    def test_the_plan_that_is_chosen_runs_and_the_next_micro_batch_is_refused(self):
        free = self.search("--host-memory", "1TiB")
        largest, smallest = free["plans"][0]["host_bytes"], min(plan["host_bytes"] for plan in free["plans"])
        limit = (largest + smallest) // 2
        found = self.search("--host-memory", str(limit), "--write", "best.yaml")
        self.assertTrue((self.folder / "best.yaml").read_text().startswith("# Chosen by zerorun plan --search: "))
        found = self.search("--host-memory", str(limit), "--write", "best.yaml")  # its own file is replaced
        best = found["plans"][0]
        self.assertLessEqual(best["host_bytes"], limit)
        self.assertGreater(best["micro_batches"], 1)
        larger = best["next_micro_batch"]
        self.assertEqual(larger["excess"]["of"], "host memory")
        beside = 2 * 6 * MIB  # that MPI may take of each rank
        self.assertTrue(0 < best["host_bytes"] - self.peak("best.yaml") < beside)
        more = ("--set", f"training.micro_batch_size={larger['micro_batch_size']}")
        self.assertTrue(0 < limit + larger["excess"]["bytes"] - self.peak("best.yaml", *more) < beside)
        status, out, err = self.run_program("best.yaml", "--set", f"memory.limit={limit // 2 + 40 * MIB}")  # MPI takes some before the model is there
        self.assertEqual(status, 0, out + err)
        self.assertEqual(self.report("best" if (self.folder / "runs" / "best").exists() else "train")["steps"]["count"], 2)
        status, out, err = self.run_program("best.yaml", *more, "--set", f"memory.limit={limit // 2}", "--set", "run.dir=refused")
        self.assertEqual(status, 83, out + err)

    def test_the_same_search_gives_the_same_answer(self):
        options = ("--host-memory", "1TiB", "--disk", "1TiB")
        def without_baseline(found):
            return [(plan["settings"], plan["seconds_per_step"], plan["disk_bytes"]) for plan in found["plans"]]
        first = self.search(*options)
        self.assertEqual(without_baseline(first), without_baseline(self.search(*options)))
        self.assertEqual(len(first["plans"]) + len(first["rejected"]), 3 * 2 * 3 + 2 * 2 * 3 * 2)
        self.assertTrue(any(plan["disk_bytes"] > 0 for plan in first["plans"]))

    def test_without_limits_a_search_is_for_this_machine(self):
        found = self.search()
        self.assertGreater(found["searched"]["host_bytes"], found["plans"][0]["host_bytes"])
        self.assertIn("of this machine", found["searched"]["device"])

    def test_gpus_that_are_known_need_not_be_there(self):
        found = self.search("--device", "h100", "--host-memory", "1TiB", ranks=8)
        best = found["plans"][0]
        self.assertEqual(found["searched"]["device_bytes"], 79 << 30)
        self.assertGreater(best["device_bytes"], 1 << 29)
        self.assertIn(best["bound"], ("compute", "memory", "links", "update"))
        self.assertTrue(any(plan["settings"]["zero_optimization.offload_optimizer.device"] == "cpu" for plan in found["plans"]))
        (self.folder / "gpu.json").write_text(json.dumps(RATES | {"parameters_per_second": {"adamw": 1e10, "host_adamw": 1e9}}))
        smaller = self.search("--device-memory", "2GiB", "--rates", "gpu.json", ranks=8)
        self.assertEqual(smaller["searched"]["device_bytes"], 2 << 30)

    def test_a_gpu_that_was_measured_is_planned_for_with_what_libraries_take_of_it(self):
        gpu = {"name": "played", "memory_bytes": 8 << 30, "multiprocessors": 10, "context_bytes": 300 * MIB, "workspace_bytes": 100 * MIB}
        rates = RATES | {"gpu": gpu, "parameters_per_second": {"adamw": 1e10, "host_adamw": 1e9}}
        (self.folder / "rates.json").write_text(json.dumps(rates))
        found = self.search()
        self.assertEqual(found["searched"]["device"], "played (rates of played)")
        self.assertEqual(found["searched"]["device_bytes"], 8 << 30)
        (self.folder / "less.json").write_text(json.dumps(rates | {"gpu": gpu | {"context_bytes": 200 * MIB}}))
        less = self.search("--rates", "less.json")
        self.assertEqual(found["plans"][0]["device_bytes"] - less["plans"][0]["device_bytes"], 100 * MIB)
        alone = self.search(ranks=1)
        self.assertLess(alone["plans"][0]["device_bytes"] - 400 * MIB, 256 * MIB, "one rank connects to none")
        self.assertGreater(found["plans"][0]["host_bytes"], 2 << 30, "two processes with CUDA")
        status, out, err = self.run_program("plan", "train.yaml", "--ranks", "2", "--json", ranks=0)
        self.assertEqual((status, err), (0, ""), out)
        self.assertEqual(json.loads(out)["memory"][0]["gpu"]["baseline"], (300 + 100 + 256) * MIB)
        status, out, err = self.run_program("plan", "train.yaml", "--ranks", "2", "--set", "run.device=cpu", ranks=0)
        self.assertIn("it is for processors, and the rates at hand are of a GPU", out)
        self.expect_failure(78, "has the rates of a GPU, and the plan is for processors", "plan", "train.yaml", "--ranks", "2", "--search", "--set", "run.device=cpu", ranks=0)
        (self.folder / "rates.json").write_text(json.dumps(rates | {"gpu": gpu | {"memory_bytes": 0}}))
        self.expect_failure(65, "rates.json is not what zerorun bench rates writes", "plan", "train.yaml", "--ranks", "2", "--search", ranks=0)

    def test_the_table_fits_a_terminal_and_says_why(self):
        status, out, err = self.run_program("plan", "train.yaml", "--ranks", "8", "--search", "--device", "rtx4090", *LARGE, ranks=0)
        self.assertEqual((status, err), (0, ""), out)
        self.assertLessEqual(max(map(len, out.splitlines())), 100)
        self.assertRegex(" ".join(out.split()), r"is the fastest that fits: a step takes at least \S+ s \(\d+ tokens/s\), most of it .*, and takes .* of the device, .* of each host's memory\.")

    def test_mistakes_are_told(self):
        def refused(status, message, *options):
            self.expect_failure(status, message, "plan", "train.yaml", "--ranks", "2", *options, ranks=0)
        refused(64, "--device is 'h10' (did you mean h100?)", "--search", "--device", "h10")
        refused(64, "--host-memory is '1TB', expected a size", "--search", "--host-memory", "1TB")
        refused(64, "--device-memory is '0', expected a size", "--search", "--device-memory", "0")
        refused(64, "--write belongs to zerorun plan FILE --search", "--write", "a.yaml")
        refused(64, "give --device, whose rates are known, or --rates FILE", "--search", "--device", "h100", "--rates", "rates.json")
        refused(66, "--rates nowhere.json: no such file", "--search", "--rates", "nowhere.json")
        refused(73, "--write nowhere/a.yaml: No such file or directory", "--search", "--write", "nowhere/a.yaml")
        refused(78, "has the rates of a processor, and the plan is for GPUs", "--search", "--device-memory", "2GiB")
        refused(78, "run.device is cpu, but --device is of a GPU", "--search", "--device", "h100", "--set", "run.device=cpu")
        refused(73, "--write train.yaml: there is a file that no search has written", "--search", "--write", "train.yaml")
        refused(78, "says nothing of what goes between hosts", "--search", "--hosts", "2")
        refused(78, "no multiple of micro_batch_size 1 x 2 ranks", "--search", "--set", "training.global_batch_size=7")
        refused(83, "fits, even with a micro-batch of 1: the nearest", "--search", "--host-memory", "1MiB")
        refused(83, "more host memory than memory.limit allows all ranks of a host", "--search", "--set", "memory.limit=1MiB")
        (self.folder / "rates.json").write_text(json.dumps(RATES | {"bytes_per_second": RATES["bytes_per_second"] | {"disk_read": None}}))
        refused(78, "rates.json says nothing of a disk", "--search", "--disk", "1TiB")
        (self.folder / "rates.json").unlink()
        refused(78, "nothing is known of this machine's rates", "--search")
        self.expect_failure(64, "--search belongs to zerorun plan", "train", "train.yaml", "--search", ranks=0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
