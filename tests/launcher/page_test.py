"""The page of a run, read as a browser does and held against what the run left. Usage: page_test.py ZERORUN MPIRUN"""
import html.parser
import json
import re
import resource
import signal
import subprocess
import unittest

from program import ENVIRONMENT, ZERORUN, Program

VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(html.parser.HTMLParser):
    """Sections by id: their tables as rows of (name, values of <data>, texts), all values of <data> in order, all text."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.problems, self.tags, self.attributes, self.ids = [], [], [], [], []
        self.section = "head"
        self.rows, self.values, self.text, self.shown = {}, {}, {}, []
        self.feed(text)
        self.close()
        self.problems += [f"<{tag}> is never closed" for tag in self.open]

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        self.attributes += attributes.items()
        if "id" in attributes:
            self.ids.append(attributes["id"])
        if tag == "section":
            self.section = attributes["id"]
        if tag == "tr":
            self.rows.setdefault(self.section, []).append(["", [], []])
        if tag == "data":
            value = json.loads(attributes["value"])
            self.values.setdefault(self.section, []).append(value)
            self.shown.append([value, ""])
            if "tr" in self.open:
                self.rows[self.section][-1][1].append(value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open[-1] != tag:
            self.problems.append(f"</{tag}> where <{self.open[-1:]}> is open, line {self.getpos()[0]}")
        else:
            self.open.pop()

    def handle_data(self, data):
        self.text[self.section] = self.text.get(self.section, "") + data
        if "data" in self.open:
            self.shown[-1][1] += data
        if "tr" in self.open and "th" in self.open and "thead" not in self.open:
            self.rows[self.section][-1][0] += data

    def row(self, section, name):
        found = [values for title, values, _ in self.rows.get(section, []) if title == name]
        assert len(found) == 1, f"{len(found)} rows {name} in {section}"
        return found[0]


class Reporting(Program):
    def train(self, *settings, run="train", ranks=2):
        words = [word for setting in (f"run.name={run}", *settings) for word in ("--set", setting)]
        status, out, err = self.run_program("train.yaml", *words, ranks=ranks)
        self.assertEqual(status, 0, out + err)

    def page(self, run="train"):
        status, out, err = self.run_program("report", f"runs/{run}", ranks=0)
        self.assertEqual((status, out), (0, f"runs/{run}/report.html\n"), err)
        text = (self.folder / "runs" / run / "report.html").read_text()
        page = Page(text)
        self.assertEqual(page.problems, [])
        self.assertEqual(len(page.ids), len(set(page.ids)), page.ids)
        self.assertNotIn("script", page.tags)
        self.assertIsNone(re.search(r"https?:|@import|url\(|<link|src=", text))
        for name, value in page.attributes:
            self.assertNotIn(name, ("href", "src", "onload", "onclick"), value)
        for value, shown in page.shown:  # whole numbers are whole
            plain = shown.replace("\u202f", "")
            if re.fullmatch(r"[0-9]+( ranks?| steps?)?", plain):
                self.assertEqual(int(plain.split()[0]), round(value), shown)
        return page

    def expect_numbers_of(self, report, page):
        steps = report["steps"]
        worst = max(rank["total"]["measured"] for rank in report["memory"])
        expected = [report["parameters"], steps["count"], report["stage"], steps["last_loss"], steps["first_loss"]]
        expected += [steps["last_validation_loss"]] if steps["last_validation_loss"] is not None else []
        self.assertEqual(page.values["head"], [*expected, steps["tokens_per_second"], worst])
        rank = report["memory"][0]
        for name, compared in rank["categories"].items():
            name = {"host": "in host memory", "disk": "on disk"}.get(name, name)
            if compared["predicted"] or compared["measured"]:
                self.assertEqual(page.row("memory", name), [compared["predicted"], compared["measured"]], name)
        for name, key in (("total at one moment", "total"), ("of these three, padding", "padding"), ("arena, beside it", "arena")):
            self.assertEqual(page.row("memory", name), [rank[key]["predicted"], rank[key]["measured"]], name)
        for number, rank in enumerate(report["memory"]):
            peak = rank["process_peak"]
            self.assertEqual(page.row("memory", f"rank {number}, peak of the process"), [peak["predicted"], peak["measured"]])
            self.assertEqual(page.row("memory", f"rank {number}, before the model"), [peak["baseline"]])
        for name, line in report["communication"].items():
            if line["calls"]:
                self.assertEqual(page.row("traffic", name.replace("_", "-")), [line["calls"], line["predicted_bytes_sent"], line["bytes_sent"], line["seconds"]])
        self.assertEqual(page.row("time", "a step, median"), [steps["median_seconds"]])

    def expect_timeline_of(self, report, page):
        """At its highest moment there is what was predicted: of the device, and of what sleeps."""
        rank = report["memory"][0]["categories"]
        asleep = sum(rank[name]["predicted"] for name in ("host", "disk"))
        self.assertEqual(sum(page.values["step"]), report["memory"][0]["total"]["predicted"] + asleep)
        self.assertNotIn("predicts", page.text["step"])

    def test_its_numbers_are_those_of_the_report(self):
        self.train()
        page = self.page()
        self.expect_numbers_of(self.report(), page)
        self.expect_timeline_of(self.report(), page)
        self.assertIn("prediction held, to the byte", page.text["head"])
        self.assertIn("Ranks 0 and 1, alike", page.text["memory"])
        for unit in ("forward of embedding", "backward of blocks.1", "gradient norm", "update", "evaluation of head"):
            self.assertIn(unit + ": ", page.text["step"])
        self.assertIn("validation after step 2: ", page.text["losses"])
        self.assertIn((self.folder / "runs/train/config.yaml").read_text(), page.text["configuration"])

    def test_what_sleeps_is_on_it_and_what_hosts_do_not_share(self):
        asleep = ("zero_optimization.offload_param.device=cpu", "zero_optimization.offload_optimizer.device=cpu", "activation_checkpoint.mode=full",
                  "training.micro_batch_size=2", "precision.param_dtype=bf16")
        self.train(*asleep, run="asleep")
        page = self.page("asleep")
        self.expect_numbers_of(self.report("asleep"), page)
        self.expect_timeline_of(self.report("asleep"), page)
        self.train("comm.pretend_hosts=2", "model.family=llama", "model.intermediate_size=40", "training.micro_batch_size=1", run="hosts")
        page = self.page("hosts")
        self.assertGreater(self.report("hosts")["memory"][0]["categories"]["gathered"]["predicted"], 0)
        self.expect_timeline_of(self.report("hosts"), page)
        self.assertIn("micro-batches between the first and the last are left out, 4 of them", page.text["step"])

    def test_one_rank_and_one_step(self):
        self.train("training.steps=1", "training.eval_interval=0", "data.validation=null", "training.micro_batch_size=12", run="one", ranks=0)
        page = self.page("one")
        self.expect_numbers_of(self.report("one"), page)
        self.expect_timeline_of(self.report("one"), page)
        self.assertIn("One rank sends nothing.", page.text["traffic"])
        self.assertIn("was not taken", page.text["head"])

    def test_the_same_run_gives_the_same_bytes_and_an_earlier_page_may_go(self):
        self.train("training.steps=2")
        self.page()
        page = self.folder / "runs/train/report.html"
        first = page.read_bytes()
        self.page()
        self.assertEqual(page.read_bytes(), first)
        status, out, err = self.run_program("report", "runs/train", "--out", "other.html", ranks=0)
        self.assertEqual((status, out), (0, "other.html\n"), err)
        self.assertEqual((self.folder / "other.html").read_bytes(), first)
        for name in ("text.txt", "runs"):
            self.expect_failure(73, f"{name} is there already, and is no page", "report", "runs/train", "--out", name, ranks=0)
        self.assertTrue((self.folder / "text.txt").read_text().startswith("It was the best"))
        self.expect_failure(73, "cannot create nowhere/page.html: No such file or directory", "report", "runs/train", "--out", "nowhere/page.html", ranks=0)

    def test_a_full_disk_leaves_the_earlier_page(self):
        self.train("training.steps=1")
        page = self.folder / "runs/train/report.html"
        self.page()
        before = page.read_bytes()

        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        done = subprocess.run([ZERORUN, "report", "runs/train"], cwd=self.folder, env=ENVIRONMENT, capture_output=True, text=True, preexec_fn=limit)
        self.assertEqual((done.returncode, done.stdout), (74, ""), done.stderr)
        self.assertIn("cannot write runs/train/report.html.partial: File too large", done.stderr)
        self.assertEqual(page.read_bytes(), before)
        self.page()

    def test_names_are_text_and_never_markup(self):
        name = "<b>&amp;\"'<script>alert(1)<"
        self.train("training.steps=1", f"run.name={json.dumps(name)}", "run.dir='runs/a<b&c'", run="train")
        status, out, err = self.run_program("report", "runs/a<b&c", ranks=0)
        self.assertEqual(status, 0, err)
        page = Page((self.folder / "runs/a<b&c/report.html").read_text())
        self.assertEqual(page.problems, [])
        self.assertNotIn("script", page.tags)
        self.assertIn(name, page.text["head"])
        self.assertIn("runs/a<b&c", page.text["run"])

    def test_what_is_missing_or_damaged_is_one_clear_error(self):
        self.expect_failure(66, "cannot read the run runs/none: No such file or directory", "report", "runs/none", ranks=0)
        self.expect_failure(64, "missing the run folder", "report", ranks=0)
        self.train("training.steps=2")
        run = self.folder / "runs/train"
        good = {name: (run / name).read_text() for name in ("report.json", "metrics.jsonl", "config.yaml")}
        damage = [("report.json", '{"version": ', 65, "runs/train/report.json is damaged: it is no JSON from byte"),
                  ("report.json", good["report.json"].replace('"measured"', '"gemessen"', 1), 65, "memory[0].categories.parameters.measured is missing"),
                  ("report.json", good["report.json"].replace('"world_size": 2', '"world_size": 3'), 65, "expected an entry for each of 3 ranks"),
                  ("report.json", good["report.json"].replace('"stage": 3', '"stage": "three"'), 65, 'stage is "three", expected an integer from 0 to 3'),
                  ("metrics.jsonl", good["metrics.jsonl"] + '{"step": 3, "loss"', 65, "runs/train/metrics.jsonl:3 is damaged"),
                  ("metrics.jsonl", "", 65, "runs/train/metrics.jsonl is empty"),
                  ("config.yaml", good["config.yaml"].replace("steps: 2", "steps: -2"), 78, "training.steps is -2")]
        for name, text, status, message in damage:
            (run / name).write_text(text)
            self.expect_failure(status, message, "report", "runs/train", ranks=0)
            (run / name).unlink()
            self.expect_failure(66, f"cannot read runs/train/{name}: there is no such file", "report", "runs/train", ranks=0)
            (run / name).write_text(good[name])
        self.assertFalse((run / "report.html").exists())
        self.page()

    def test_a_run_that_was_stopped_says_so(self):
        process = self.start("train.yaml", "--set", "training.steps=100000", "--set", "training.eval_interval=0")
        self.wait_for_step()
        process.send_signal(signal.SIGUSR1)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 75)
        page = self.page()
        self.expect_numbers_of(self.report(), page)
        self.assertIn("It was stopped before the 100\u202f000 steps", page.text["head"])


if __name__ == "__main__":
    unittest.main()
