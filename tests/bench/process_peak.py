#!/usr/bin/env python3
"""Is the predicted peak of a process true? Trains two steps of GPT-2s and LLaMAs of 0.5 to 4 GiB a process, at several shapes, stages,
ranks, threads and dtypes, with the processor's own instructions and with AVX2 only, and prints predicted against measured as a table and as JSON.
Fails when one is off by more than 3 %.

    tests/bench/process_peak.py PATH/TO/zerorun [RESULT.json]

About 12 minutes on 2 cores; needs 9 GiB.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

MIB = 2**20
AVX2_ONLY = {"ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
LLAMA = "model.family=llama model.intermediate_size=2048 model.num_key_value_heads=4"
BF16 = "precision.param_dtype=bf16 precision.reduce_dtype=bf16"
RECOMPUTE = "activation_checkpoint.mode=full"
# hidden, layers, heads, vocabulary, micro batch, length, stage, ranks, threads, other settings
CASES = [
    (512, 8, 8, 256, 4, 256, 0, 1, 1, ""),
    (512, 8, 8, 256, 4, 256, 0, 1, 2, ""),
    (512, 8, 8, 256, 4, 256, 3, 2, 1, ""),
    (768, 12, 12, 256, 2, 128, 1, 2, 1, ""),
    (768, 12, 12, 50257, 2, 256, 2, 2, 1, ""),
    (768, 12, 12, 50257, 4, 512, 0, 1, 2, ""),
    (1024, 6, 16, 8192, 16, 512, 3, 2, 1, ""),
    (256, 6, 4, 8192, 32, 512, 3, 2, 1, ""),
    (256, 4, 4, 256, 64, 256, 0, 1, 2, ""),
    (768, 12, 12, 8192, 4, 512, 3, 2, 1, LLAMA),
    (768, 12, 12, 50257, 4, 512, 2, 2, 1, BF16),
    (768, 12, 12, 50257, 16, 512, 0, 1, 2, f"{BF16} {LLAMA}"),
    (768, 12, 12, 50257, 8, 512, 3, 2, 1, f"{RECOMPUTE} model.dropout=0.1"),
    (768, 12, 12, 50257, 4, 512, 1, 1, 2, "precision.param_dtype=fp16 optimizer.name=SGD"),
]


def train(program, folder, case, environment):
    hidden, layers, heads, vocabulary, micro_batch, length, stage, ranks, threads, others = case
    (folder / "text.txt").write_text("Every run ends with what it took, against what it was said to take.\n" * 20000, encoding="utf-8")
    (folder / "train.yaml").write_text(
        f"""run: {{name: peak, dir: {folder}/run, threads: {threads}}}
model: {{family: gpt2, vocab_size: {vocabulary}, hidden_size: {hidden}, num_hidden_layers: {layers}, num_attention_heads: {heads},
        max_position_embeddings: 1024}}
data: {{train: {folder}/text.txt, validation: 0.1, format: bytes}}
training: {{steps: 2, global_batch_size: {micro_batch * ranks}, micro_batch_size: {micro_batch}, seq_len: {length}, eval_batches: 2}}
optimizer: {{name: AdamW, lr: 1.0e-3}}
lr_scheduler: {{name: constant, warmup_steps: 0}}
zero_optimization: {{stage: {stage}}}
""", encoding="utf-8")
    subprocess.run(["mpirun", "--oversubscribe", "--bind-to", "none", "-np", str(ranks), program, str(folder / "train.yaml"),
                    *(word for other in others.split() for word in ("--set", other))],
                   env={**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", **environment},
                   stdout=subprocess.DEVNULL, check=True)
    return json.loads((folder / "run" / "report.json").read_text(encoding="utf-8"))["memory"]


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return "unknown"


def main():
    program = str(pathlib.Path(sys.argv[1]).resolve())
    rows = []
    print(f"{'hidden':>6} {'layers':>6} {'vocab':>6} {'batch':>5} {'length':>6} {'stage':>5} {'ranks':>5} {'threads':>7} {'instructions':>12}"
          f" {'predicted MiB':>13} {'measured MiB':>12} {'off':>7}")
    for instructions, environment in (("own", {}), ("AVX2", AVX2_ONLY)):
        for case in CASES:
            with tempfile.TemporaryDirectory() as folder:
                memory = train(program, pathlib.Path(folder), case, environment)
            worst = max((rank["process_peak"] for rank in memory), key=lambda peak: abs(peak["measured"] - peak["predicted"]))
            off = worst["measured"] / worst["predicted"] - 1
            hidden, layers, _, vocabulary, micro_batch, length, stage, ranks, threads, others = case
            print(f"{hidden:>6} {layers:>6} {vocabulary:>6} {micro_batch:>5} {length:>6} {stage:>5} {ranks:>5} {threads:>7} {instructions:>12}"
                  f" {worst['predicted'] / MIB:>13.1f} {worst['measured'] / MIB:>12.1f} {off:>+7.2%}  {others}", flush=True)
            rows.append({"case": case, "instructions": instructions, **worst})
    result = {"processor": processor(), "rows": rows}
    if len(sys.argv) > 2:
        pathlib.Path(sys.argv[2]).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    else:
        print(json.dumps(result))
    sys.exit(any(abs(row["measured"] / row["predicted"] - 1) > 0.03 for row in rows))


main()
