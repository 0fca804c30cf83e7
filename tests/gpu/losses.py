#!/usr/bin/env python3
"""Whether a GPU trains what the processor trains.

    losses.py --out FOLDER [--zerorun PROGRAM] [--device cuda|cpu] [--steps 50]

GPT-2 and LLaMA, 50 steps: every step's loss on the GPU in fp32 is within 1e-4 of the processor's, in bf16 within 1e-2, relative. Then stages 0 to 3 with
2 and 3 ranks that share the GPU, run.determinism strict: losses, norms of gradients and the weights at the end are the same bits.
"""
import hashlib
import pathlib
import sys
import tempfile

import machine

VOCABULARY = 1024
MODELS = {
    "gpt2": {"family": "gpt2", "hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4},
    "llama": {"family": "llama", "hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 688,
              "tie_word_embeddings": False},
}
WITHIN = {"fp32": 1e-4, "bf16": 1e-2}
STRICT_STEPS = 10
STRICT = (("gpt2", "fp32"), ("llama", "bf16"))


def settings(model, tokens, steps, dtype, device):
    """Without run.device where that is the processor: builds without CUDA have no other."""
    return {
        "run": {} if device == "cpu" else {"device": device},
        "model": {**MODELS[model], "vocab_size": VOCABULARY, "max_position_embeddings": 128},
        "data": {"train": str(tokens), "format": "tokens_uint16"},
        "training": {"steps": steps, "global_batch_size": 12, "micro_batch_size": 12, "seq_len": 128},
        "precision": {"param_dtype": dtype, "reduce_dtype": "fp32"},
        "optimizer": {"name": "AdamW", "lr": 1e-3},
        "lr_scheduler": {"name": "constant"},
        "metrics": {"export_hf": False},
    }


def largest_difference(got, wanted):
    if len(got) != len(wanted):
        raise machine.Failed(f"{len(got)} steps, and {len(wanted)} on the processor")
    return max(abs(a["loss"] - b["loss"]) / abs(b["loss"]) for a, b in zip(got, wanted))


def compare_with_processor(arguments, folder, tokens, model):
    plain = settings(model, tokens, arguments.steps, "fp32", "cpu")
    if arguments.device == "cuda":
        plain["run"]["device"] = "cpu"
    expected, _ = machine.train(arguments.zerorun, folder / f"{model}-processor", plain)
    for dtype, within in WITHIN.items():
        with machine.timed(arguments.out, "losses", what="processor", model=model, dtype=dtype, steps=arguments.steps, within=within) as found:
            got, _ = machine.train(arguments.zerorun, folder / f"{model}-{dtype}", settings(model, tokens, arguments.steps, dtype, arguments.device))
            found["difference"] = largest_difference(got, expected)
            found["first_loss"], found["last_loss"] = got[0]["loss"], got[-1]["loss"]
            if not found["difference"] <= within:
                raise machine.Failed(f"a loss is off by {found['difference']:.2e}, relative; at most {within} is right")
            if not found["last_loss"] < 0.95 * found["first_loss"]:
                raise machine.Failed("it did not learn: the comparison would say little")
            yield True


def trained_bits(arguments, folder, tokens, model, dtype, ranks, stage):
    """All that a training leaves, as far as it must not depend on the stage."""
    wanted = settings(model, tokens, STRICT_STEPS, dtype, arguments.device)
    wanted["run"]["determinism"] = "strict"
    wanted["training"]["micro_batch_size"] = 12 // ranks
    wanted["zero_optimization"] = {"stage": stage}
    wanted["metrics"]["export_hf"] = True
    if arguments.device == "cuda":
        wanted["comm"] = {"allow_shared_gpu": True}
    where = folder / f"{model}-{dtype}-{ranks}-{stage}"
    lines, _ = machine.train(arguments.zerorun, where, wanted, ranks)
    weights = hashlib.sha256((where / "run" / "hf" / "model.safetensors").read_bytes()).hexdigest()
    return {"losses": [line["loss"] for line in lines], "norms": [line["grad_norm"] for line in lines], "weights": weights}


def compare_stages(arguments, folder, tokens, model, dtype, ranks):
    with machine.timed(arguments.out, "losses", what="stages", model=model, dtype=dtype, ranks=ranks, steps=STRICT_STEPS):
        first = trained_bits(arguments, folder, tokens, model, dtype, ranks, 0)
        for stage in (1, 2, 3):
            other = trained_bits(arguments, folder, tokens, model, dtype, ranks, stage)
            differing = [key for key in first if first[key] != other[key]]
            if differing:
                raise machine.Failed(f"stages 0 and {stage} differ in {', '.join(differing)}; losses {first['losses']} and {other['losses']}")
        yield True


def main():
    parser = machine.parser()
    parser.add_argument("--steps", type=int, default=50)
    arguments = parser.parse_args()
    passed = wanted = 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        tokens = folder / "tokens.u16"
        machine.write_tokens(tokens, VOCABULARY)
        for model in MODELS:
            wanted += len(WITHIN)
            passed += sum(compare_with_processor(arguments, folder, tokens, model))
        for model, dtype in STRICT:
            for ranks in (2, 3):
                wanted += 1
                passed += sum(compare_stages(arguments, folder, tokens, model, dtype, ranks))
    print(f"{passed} of {wanted} comparisons passed")
    sys.exit(passed != wanted)


main()
