"""What `zerorun schema` prints against what zerorun itself takes. Called with ZERORUN EXAMPLES first."""
import copy
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import jsonschema
import yaml

ZERORUN, EXAMPLES = sys.argv.pop(1), pathlib.Path(sys.argv.pop(1))
SCHEMA = json.loads(subprocess.run([ZERORUN, "schema"], stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
EVERY_KIND = {
    "run": {"name": "a run", "seed": 7, "determinism": "strict", "threads": "auto"},
    "model": {"vocab_size": 256, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 16,
              "tie_word_embeddings": False, "preset": None},
    "data": {"train": ["a.txt", "b*.txt"], "validation": 0.1},
    "training": {"steps": 4, "global_batch_size": 6, "micro_batch_size": 6, "seq_len": 16, "max_norm": 0},
    "optimizer": {"lr": 0.001, "betas": [0.9, 0.99]},
    "comm": {"timeout_seconds": "10m"},
    "memory": {"limit": "64MiB"},
}


def keys_of(schema, prefix=""):
    """Every key with its schema; sections may stand inside of sections."""
    for name, body in schema["properties"].items():
        if "properties" in body:
            yield from keys_of(body, prefix + name + ".")
        else:
            yield prefix + name, body


def required_keys(schema, prefix=""):
    for name, body in schema["properties"].items():
        if "properties" in body:
            yield from required_keys(body, prefix + name + ".")
        elif name in schema.get("required", []):
            yield prefix + name


class Yaml12(yaml.SafeLoader):
    """PyYAML reads 1e-3 as a text, as YAML 1.1 says; zerorun and editors read a number."""


Yaml12.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789"))


def with_value(key, value):
    document = copy.deepcopy(EVERY_KIND)
    section, name = key.split(".")
    document.setdefault(section, {})[name] = value
    return document


def taken_by_zerorun(document):
    """A configuration that is taken gets as far as its data, which is missing."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "run.yaml"
        path.write_text(yaml.safe_dump(document))
        done = subprocess.run([ZERORUN, "plan", path, "--ranks", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=60, check=False)
    return {66: True, 78: False}[done.returncode]


class Schema(unittest.TestCase):
    def test_it_is_a_schema_of_the_draft_it_names(self):
        self.assertEqual(SCHEMA["$schema"], "https://json-schema.org/draft/2020-12/schema")
        jsonschema.Draft202012Validator.check_schema(SCHEMA)

    def test_every_example_is_valid(self):
        examples = list(EXAMPLES.glob("*.yaml"))
        self.assertGreater(len(examples), 0)
        for example in examples:
            errors = [error.message for error in VALIDATOR.iter_errors(yaml.load(example.read_text(), Yaml12))]
            self.assertEqual(errors, [], example)

    def test_the_resolved_defaults_are_valid(self):
        for name, key in keys_of(SCHEMA):
            if "default" in key:
                jsonschema.Draft202012Validator(key).validate(key["default"])
            self.assertTrue(key["description"], name)

    def test_what_it_accepts_zerorun_accepts(self):
        documents = [EVERY_KIND, with_value("memory.limit", 1 << 30), with_value("memory.limit", "1.5GiB"), with_value("comm.timeout_seconds", 90),
                     with_value("run.threads", 3), with_value("run.name", 2024), with_value("data.train", "one.txt"), {**EVERY_KIND, "metrics": None},
                     with_value("precision.fp16", {"hysteresis": 3}), with_value("precision.fp16", None)]
        for document in documents:
            self.assertEqual([error.message for error in VALIDATOR.iter_errors(document)], [])
            self.assertTrue(taken_by_zerorun(document), document)

    def test_what_it_rejects_zerorun_rejects(self):
        documents = [
            with_value("training.micro_bacth", 3), {**EVERY_KIND, "trainig": {}},  # unknown
            with_value("training.steps", "four"), with_value("training.steps", 1.5), with_value("training.steps", None),  # types
            with_value("model.tie_word_embeddings", "maybe"), with_value("optimizer.betas", [0.9]), with_value("optimizer.betas", 0.9),
            with_value("run.name", ["a"]), with_value("run.name", ""), with_value("run.name", "a/b"), with_value("data.train", []),
            with_value("memory.limit", "64 parsecs"), with_value("comm.timeout_seconds", "soon"),
            with_value("training.steps", 0), with_value("zero_optimization.stage", 4), with_value("run.seed", -1),  # ranges
            with_value("optimizer.lr", 0), with_value("optimizer.betas", [0.9, 1]), with_value("memory.limit", 5),
            with_value("precision.fp16", {"hysteresis": 0}), with_value("precision.fp16", {"hysteresys": 1}), with_value("precision.fp16", 2),
            with_value("run.determinism", "mostly"), with_value("run.threads", "many"),  # choices
            {name: section for name, section in EVERY_KIND.items() if name != "optimizer"},  # required
            {**EVERY_KIND, "training": {"steps": 4}}, {**EVERY_KIND, "optimizer": None}, []]
        for document in documents:
            self.assertFalse(VALIDATOR.is_valid(document), document)
            self.assertFalse(taken_by_zerorun(document), document)

    def test_its_required_keys_are_those_of_the_reader(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "run.yaml"
            path.write_text("nothing: 1\n")
            done = subprocess.run([ZERORUN, "plan", path, "--ranks", "1"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, timeout=60,
                                  check=False)
        required = set(re.findall(r"missing key (\S+),", done.stderr))
        self.assertEqual(required, set(required_keys(SCHEMA)))
        self.assertEqual(set(SCHEMA["required"]), {key.split(".")[0] for key in required})


if __name__ == "__main__":
    unittest.main()
