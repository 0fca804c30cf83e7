#!/usr/bin/env python3
"""Whether the memory that zerorun predicts for a GPU is the memory that it takes.

    memory.py --out FOLDER [--zerorun PROGRAM] [--device cuda|cpu]

Twelve trainings of three steps. Of every rank in report.json: `total`, what tensors take, is within 1 % of its prediction, and DEVICE, what the driver
says is in use of the GPU, within 3 %. On one rank what nvidia-smi saw from outside is in the line beside it.
"""
import pathlib
import sys
import tempfile

import machine

VOCABULARY = 50257
ALLOCATED, DEVICE = ("total",), {"cuda": ("gpu", "used"), "cpu": ("process_peak",)}
WITHIN = {"allocated": 0.01, "device": 0.03}
GPT, LLAMA = ({"family": "gpt2", "preset": "124m"},
              {"family": "llama", "vocab_size": VOCABULARY, "hidden_size": 1024, "num_hidden_layers": 12, "num_attention_heads": 16, "num_key_value_heads": 4,
               "intermediate_size": 2816, "max_position_embeddings": 1024, "tie_word_embeddings": False})
SMALL = ({"family": "gpt2", "vocab_size": VOCABULARY, "hidden_size": 128, "num_hidden_layers": 3, "num_attention_heads": 4, "max_position_embeddings": 1024},
         {"family": "llama", "vocab_size": VOCABULARY, "hidden_size": 128, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 344,
          "max_position_embeddings": 1024, "tie_word_embeddings": False})
RECOMPUTE = {"activation_checkpoint": {"mode": "full"}}
OPTIMIZER_ASLEEP = {"zero_optimization": {"offload_optimizer": {"device": "cpu"}}}
ALL_ASLEEP = {"zero_optimization": {"offload_param": {"device": "cpu"}, "offload_optimizer": {"device": "cpu"}}}

# model, dtype, ranks, stage, micro-batch, length, more
CASES = (
    ("gpt2", "fp32", 1, 0, 4, 512, {}),
    ("gpt2", "fp32", 1, 3, 4, 1024, RECOMPUTE),
    ("gpt2", "bf16", 1, 0, 8, 1024, {}),
    ("gpt2", "bf16", 1, 3, 8, 1024, {"precision": {"param_dtype": "bf16", "reduce_dtype": "fp32"}}),
    ("gpt2", "bf16", 1, 3, 16, 1024, RECOMPUTE),
    ("gpt2", "bf16", 2, 1, 4, 1024, {}),
    ("gpt2", "bf16", 2, 3, 4, 1024, {}),
    ("llama", "fp32", 1, 0, 4, 512, {}),
    ("llama", "bf16", 1, 3, 8, 1024, {}),
    ("llama", "bf16", 2, 2, 4, 1024, RECOMPUTE),
    ("llama", "bf16", 1, 2, 8, 1024, OPTIMIZER_ASLEEP),
    ("llama", "bf16", 1, 3, 8, 1024, {**ALL_ASLEEP, **RECOMPUTE}),
)


def settings(case, tokens, device):
    model, dtype, ranks, stage, micro_batch, length, more = case
    if device == "cpu":
        micro_batch, length = 2, 64
    wanted = {
        "run": {"device": device} if device == "cuda" else {},
        "model": dict(zip(("gpt2", "llama"), SMALL if device == "cpu" else (GPT, LLAMA)))[model],
        "data": {"train": str(tokens), "format": "tokens_uint16"},
        "training": {"steps": 3, "global_batch_size": ranks * micro_batch, "micro_batch_size": micro_batch, "seq_len": length},
        "precision": {"param_dtype": dtype, "reduce_dtype": dtype},
        "optimizer": {"lr": 1e-4},
        "metrics": {"export_hf": False},
        **more,
    }
    wanted["zero_optimization"] = {"stage": stage, **more.get("zero_optimization", {})}
    if device == "cuda" and ranks > 1:
        wanted["comm"] = {"allow_shared_gpu": True}
    return wanted


def part_of(rank, keys):
    for key in keys:
        rank = (rank or {}).get(key)
    return rank


def off_by(pair):
    return pair["measured"] / pair["predicted"] - 1


def check(report, device, found):
    """Fills in what is off by how much, the worst of all ranks, and fails where that is too much."""
    for name, key in (("allocated", ALLOCATED), ("device", DEVICE[device])):
        pairs = [part_of(rank, key) for rank in report["memory"]]
        if not all(pair and pair.get("predicted") and pair.get("measured") for pair in pairs):
            raise machine.Failed(f"report.json has no {'.'.join(key)} with predicted and measured bytes; it has {', '.join(report['memory'][0])}")
        worst = max(pairs, key=lambda pair: abs(off_by(pair)))
        found.update({f"{name}_predicted": worst["predicted"], f"{name}_measured": worst["measured"], f"{name}_off": round(off_by(worst), 5)})
    wrong = [name for name, within in WITHIN.items() if not abs(found[f"{name}_off"]) <= within]
    if wrong:
        raise machine.Failed("; ".join(f"{name}: predicted {found[f'{name}_predicted']:,}, measured {found[f'{name}_measured']:,}, off by "
                                       f"{found[f'{name}_off']:+.2%}, at most {WITHIN[name]:.0%} is right" for name in wrong))


def run_case(arguments, folder, tokens, number, case):
    model, dtype, ranks, stage, micro_batch, length, more = case
    with machine.timed(arguments.out, "memory", case=number, model=model, dtype=dtype, ranks=ranks, stage=stage, batch=micro_batch, length=length,
                       more=more) as found:
        with machine.DeviceMemory() as used:
            _, report = machine.train(arguments.zerorun, folder / str(number), settings(case, tokens, arguments.device), ranks, seconds=200)
        if ranks == 1:
            found["seen_by_driver"] = used.peak
        check(report, arguments.device, found)
        yield True


def main():
    parser = machine.parser()
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        tokens = folder / "tokens.u16"
        machine.write_tokens(tokens, VOCABULARY, 1 << 18)
        passed = sum(sum(run_case(arguments, folder, tokens, number, case)) for number, case in enumerate(CASES, 1))
    print(f"{passed} of {len(CASES)} predictions were right")
    sys.exit(passed != len(CASES))


main()
