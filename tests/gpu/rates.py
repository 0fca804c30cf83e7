#!/usr/bin/env python3
"""Whether what `zerorun bench rates` measures of a GPU serves plans: a GPT-2 and a LLaMA are planned by it, and then trained.

    rates.py --out FOLDER [--zerorun PROGRAM] [--device cuda|cpu]

Passes where the plan that a search chooses runs, takes no more memory than it said, and its steps take no less time than the least that the rates allow (less 5 %, which clocks
that change may give). How much longer they take is in the line.
"""
import json
import pathlib
import statistics
import sys
import tempfile

import machine

VOCABULARY = 50257
MODELS = {"gpt2": {"family": "gpt2", "preset": "124m"},
          "llama": {"family": "llama", "vocab_size": VOCABULARY, "hidden_size": 1024, "num_hidden_layers": 12, "num_attention_heads": 16, "intermediate_size": 2816,
                    "max_position_embeddings": 1024, "tie_word_embeddings": False}}
SMALL = {"num_hidden_layers": 2, "hidden_size": 128, "num_attention_heads": 4, "intermediate_size": 344}
LEAST, MOST = 0.95, 1.03  # of a step's time, of the GPU in use


def settings(name, tokens, device):
    small = {key: value for key, value in SMALL.items() if name == "llama" or key != "intermediate_size"} if device == "cpu" else {}
    return {"run": {"device": device}, "model": {**MODELS[name], **small}, "data": {"train": str(tokens), "format": "tokens_uint16"},
            "training": {"steps": 8, "global_batch_size": 16, "micro_batch_size": 1, "seq_len": 64 if device == "cpu" else 1024},
            "precision": {"param_dtype": "fp32" if device == "cpu" else "bf16"}, "optimizer": {"lr": 1e-4}, "metrics": {"export_hf": False}}


def run_case(arguments, folder, tokens, rates, name):
    with machine.timed(arguments.out, "rates", model=name) as found:
        folder.mkdir()
        file, best = folder / "train.yaml", folder / "best.yaml"
        wanted = settings(name, tokens, arguments.device)
        file.write_text(json.dumps(wanted), encoding="utf-8")
        plans = json.loads(machine.run([arguments.zerorun, "plan", file, "--ranks", 1, "--search", "--json", "--write", best], 200, rates))
        found["plan"] = plans["plans"][0]["plan"]
        machine.run([arguments.zerorun, best, "--set", f"run.dir={folder / 'run'}"], 400, rates)
        report = json.loads((folder / "run" / "report.json").read_text(encoding="utf-8"))
        lines = (folder / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[2:]
        seconds, least = statistics.median(json.loads(line)["seconds"] for line in lines), plans["plans"][0]["seconds_per_step"]
        total, gpu = report["memory"][0]["total"], report["memory"][0].get("gpu")
        found.update(seconds_per_step=seconds, predicted_seconds=least, times_longer=round(seconds / least, 3), bound=plans["plans"][0]["bound"])
        if seconds < LEAST * least:
            raise machine.Failed(f"a step takes {seconds:.4f} s, less than the least that the rates allow, {least:.4f} s")
        if total["measured"] > total["predicted"]:
            raise machine.Failed(f"tensors take {total['measured']:,} bytes, more than the {total['predicted']:,} that were predicted")
        if gpu and gpu["used"]["measured"] > MOST * plans["plans"][0]["device_bytes"]:
            raise machine.Failed(f"{gpu['used']['measured']:,} bytes of the GPU are in use, 3 % more than the plan's {plans['plans'][0]['device_bytes']:,}")
        yield True


def main():
    arguments = machine.parser().parse_args()
    with tempfile.TemporaryDirectory(dir=".") as path:
        folder = pathlib.Path(path).resolve()
        rates, tokens = {"ZERORUN_RATES": str(folder / "rates.json")}, folder / "tokens.u16"
        with machine.timed(arguments.out, "rates", what="rates") as found:
            found["rates"] = json.loads(machine.run([arguments.zerorun, "bench", "rates", "--json", "--device", arguments.device, "--path", folder], 200, rates))
            if (found["rates"]["gpu"] is None) != (arguments.device == "cpu"):
                raise machine.Failed(f"rates of {arguments.device} have gpu {found['rates']['gpu']}")
        machine.write_tokens(tokens, VOCABULARY, 1 << 18)
        passed = sum(sum(run_case(arguments, folder / name, tokens, rates, name)) for name in MODELS)
    print(f"{passed} of {len(MODELS)} plans held")
    sys.exit(passed != len(MODELS))


main()
