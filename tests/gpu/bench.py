#!/usr/bin/env python3
"""A part of bench.sh: rates of the GPU, or a training by zerorun, PyTorch eager, torch.compile and FSDP2, all on one GPU from the same weights, with the
same batches, precision, optimizer and attention; and PyTorch with the attention that it would choose. Of zerorun also where the GPU's time goes.

    bench.py PART --out FOLDER [--zerorun PROGRAM] [--device cuda|cpu] [--sides zerorun,eager,compile,fsdp2,eager-cudnn,compile-cudnn] [--param-dtype bf16]

A step's time is the median of 20 after 5, without a profile, which is taken in a run of its own. A side counts where its first 20 losses are within 1 % of zerorun's (of the first side's, without zerorun).
"""
import collections
import json
import pathlib
import re
import shutil
import statistics
import sys
import tempfile
import time

import machine

sys.path.insert(0, str(machine.HERE / "peers"))
from presets import PRESETS, flops_per_token, parameters_of  # noqa: E402

RATES = ("gemm", "copies", "adamw")
SIDES = ("zerorun", "eager", "compile", "fsdp2", "eager-cudnn", "compile-cudnn")
WARM, MEASURED, COMPARED, WITHIN = 5, 20, 20, 1e-2
PROFILED = 3
# The first that fits: LibTorch's flash attention names cutlass too.
KINDS = (("attention", "flash|fmha"), ("products", "gemm|cutlass|nvjet|cublas|xmma|splitK"), ("collectives", "nccl"), ("copies", "^Memcpy"), ("fills", "^Memset"))
PEAK_TFLOPS = 989  # bf16 without sparsity, of the data sheets of H100 SXM and H200
LIMIT = 460        # seconds of a part


def peer(script, *arguments, seconds, environment=None):
    return machine.run([sys.executable, machine.HERE / "peers" / script, *arguments], seconds, environment)


def rates(part, arguments):
    """PyTorch's figure, and zerorun's own benchmark of that name, where there is one."""
    found = {"pytorch": json.loads(peer("rates.py", part, "--device", arguments.device, seconds=LIMIT / 2).splitlines()[-1])}
    if arguments.device == "cuda" and shutil.which("gpu_bench"):
        wanted = f"{part}|copies/on_device" if part == "adamw" else part
        text = machine.run(["gpu_bench", f"--benchmark_filter={wanted}", "--benchmark_format=json"], LIMIT / 2)
        found["zerorun"] = [{key: value for key, value in row.items() if isinstance(value, (str, float, int))}
                            for row in json.loads(text[text.index("{"):])["benchmarks"]]
    if part == "adamw" and "zerorun" in found:
        copied = next(row["bytes"] for row in found["zerorun"] if "on_device" in row["name"])
        found["share_of_copy"] = {row["name"]: row["bytes"] / copied for row in found["zerorun"] if row["name"].startswith("adamw")}
    print(json.dumps(found, indent=1))
    return found


def settings(sizes, start, dtype, device):
    return {
        "run": {"device": device} if device == "cuda" else {},
        "model": {"family": sizes["family"], "hf_path": str(start / "hf")},
        "data": {"train": str(start / "tokens.u16"), "format": "tokens_uint16"},
        "training": {"steps": WARM + MEASURED + 1, "global_batch_size": sizes["batch"], "micro_batch_size": sizes["batch"], "seq_len": sizes["positions"],
                     "max_norm": 1.0},
        "precision": {"param_dtype": dtype, "reduce_dtype": dtype},
        "optimizer": {"name": "AdamW", "lr": 3e-4, "betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": 0.1},
        "lr_scheduler": {"name": "constant", "warmup_steps": 0},
        "zero_optimization": {"stage": 0},
        "metrics": {"export_hf": False},
    }


def run_zerorun(arguments, sizes, start, folder, seconds):
    lines, report = machine.train(arguments.zerorun, folder / "zerorun", settings(sizes, start, arguments.param_dtype, arguments.device), seconds=seconds)
    memory = report["memory"][0]
    allocated = memory["total"]["measured"]
    return {"losses": [line["loss"] for line in lines], "seconds": [line["seconds"] for line in lines],
            "memory": {"allocated": allocated, "reserved": memory["gpu"]["reserved"]["measured"] if "gpu" in memory else allocated + memory["arena"]["measured"]}}


def kind_of(kernel):
    """Of a kernel's name: what it is for, or its function, or what LibTorch's function is made for."""
    for kind, pattern in KINDS:
        if re.search(pattern, kernel, re.IGNORECASE):
            return kind
    found = re.search(r"<.*?at::native::(?:\w+::|\(anonymous namespace\)::)*(\w+)", kernel) or re.match(r"(?:void )?(?:\w+::|\(anonymous namespace\)::)*(\w+)", kernel)
    return found.group(1) if found else kernel


def profile_of(trace):
    """Milliseconds and launches of a step by kind, the most first, and how long the GPU did nothing."""
    lanes = {event["tid"] for event in trace["traceEvents"] if event.get("name") == "thread_name" and event["args"]["name"].startswith("GPU, ")}
    spans = sorted((event["ts"], event["ts"] + event["dur"], event["name"]) for event in trace["traceEvents"] if event["ph"] == "X" and event["tid"] in lanes)
    if not spans:
        return None
    taken, launches, idle, end = collections.Counter(), collections.Counter(), 0, spans[0][0]
    for begin, until, name in spans:
        taken[kind_of(name)] += (until - begin) / 1e3 / PROFILED
        launches[kind_of(name)] += 1 / PROFILED
        idle, end = idle + max(0, begin - end), max(end, until)
    return {"idle": idle / 1e3 / PROFILED, "kinds": [{"kind": kind, "milliseconds": ms, "launches": launches[kind]} for kind, ms in taken.most_common()]}


def profile_zerorun(arguments, sizes, start, folder, seconds):
    wanted = settings(sizes, start, arguments.param_dtype, arguments.device)
    wanted["training"]["steps"], wanted["metrics"]["trace_steps"] = 1 + PROFILED, PROFILED
    try:
        machine.train(arguments.zerorun, folder / "profile", wanted, seconds=seconds)
    except machine.Failed as error:
        print(f"no profile: {error}")
        return None
    profile = profile_of(json.loads((folder / "profile" / "run" / "trace.json").read_text(encoding="utf-8")))
    if not profile:
        print("no profile: the trace has nothing of the GPU")
    else:
        print("where a step's time goes on the GPU, ms (launches): " + ", ".join(f"{row['kind']} {row['milliseconds']:.2f} ({row['launches']:.0f})" for row in profile["kinds"])
              + f"; nothing for {profile['idle']:.2f} ms")
    return profile


def run_peer(arguments, mode, start, folder, seconds):
    """With flash attention, which zerorun uses, or where the mode ends so with cuDNN's, which PyTorch would choose on a Hopper."""
    out = folder / f"{mode}.json"
    mode, _, attention = mode.partition("-")
    peer("train.py", "--preset", arguments.part, "--mode", mode, "--start", start, "--out", out, "--steps", WARM + MEASURED + 1,
         "--device", arguments.device, "--param-dtype", arguments.param_dtype, seconds=seconds,
         environment={} if attention == "cudnn" else {"TORCH_CUDNN_SDPA_DEPRIORITIZED": "1"})
    return json.loads(out.read_text(encoding="utf-8"))


def run_side(arguments, side, sizes, start, folder, seconds):
    """What it took, or why there is no figure."""
    began = time.perf_counter()
    try:
        with machine.DeviceMemory() as used:
            result = run_zerorun(arguments, sizes, start, folder, seconds) if side == "zerorun" else run_peer(arguments, side, start, folder, seconds)
    except machine.Failed as error:
        return {"side": side, "failed": str(error)[-1500:]}
    step = statistics.median(result["seconds"][WARM:WARM + MEASURED])
    tokens = sizes["batch"] * sizes["positions"]
    return {"side": side, "step_seconds": step, "tokens_per_second": tokens / step, "tflops": tokens / step * flops_per_token(sizes) / 1e12,
            "memory": {**result.get("memory", {}), "device": used.peak or None}, "losses": result["losses"], "all_seconds": result["seconds"],
            "seconds": time.perf_counter() - began}


def hold_against(reference, row):
    """Says in the row whether it counts: whether it trained what the reference trained."""
    pairs = list(zip(row["losses"][:COMPARED], reference["losses"][:COMPARED]))
    row["loss_difference"] = max(abs(a - b) / abs(b) for a, b in pairs)
    row["counts"] = len(pairs) == COMPARED and row["loss_difference"] <= WITHIN


def gib(value):
    return f"{value / 2**30:.2f}" if value else "-"


def print_table(rows, gemm):
    print(f"{'':14}{'ms/step':>10}{'tokens/s':>12}{'TFLOP/s':>9}{'of GEMM':>9}{'of peak':>9}{'alloc GiB':>11}{'reserved':>10}{'device':>9}{'losses off':>12}")
    for row in rows:
        if "failed" in row:
            print(f"{row['side']:14}did not run: {row['failed'].strip().splitlines()[-1]}")
            continue
        memory = row["memory"]
        print(f"{row['side']:14}{1e3 * row['step_seconds']:>10.1f}{row['tokens_per_second']:>12,.0f}{row['tflops']:>9.1f}{row['tflops'] / gemm:>9.1%}"
              f"{row['tflops'] / PEAK_TFLOPS:>9.1%}{gib(memory.get('allocated')):>11}{gib(memory.get('reserved')):>10}{gib(memory['device']):>9}"
              f"{row['loss_difference']:>12.1e}" + ("" if row["counts"] else "  does not count"))


def train(part, arguments):
    sizes, end = PRESETS[part], time.monotonic() + LIMIT
    gemm = json.loads(peer("rates.py", "gemm", "--device", arguments.device, seconds=60).splitlines()[-1])["best"]
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        peer("start.py", "--preset", part, "--out", folder / "start", "--device", arguments.device, seconds=120)
        for side in arguments.sides.split(","):
            rows.append(run_side(arguments, side, sizes, folder / "start", folder, max(1, end - time.monotonic())))
            print(f"{side}: " + (rows[-1]["failed"].strip().splitlines()[-1] if "failed" in rows[-1] else f"{rows[-1]['seconds']:.0f} s"), flush=True)
        profile = None
        if "zerorun" in arguments.sides.split(",") and arguments.device == "cuda":
            profile = profile_zerorun(arguments, sizes, folder / "start", folder, max(1, end - time.monotonic()))
    ran = [row for row in rows if "failed" not in row]
    for row in ran:
        hold_against(ran[0], row)
        row.update(share_of_gemm=row["tflops"] / gemm, share_of_peak=row["tflops"] / PEAK_TFLOPS)
    parameters, _ = parameters_of(sizes)
    print(f"{part}: {parameters:,} parameters, {sizes['batch']} x {sizes['positions']} tokens a step, {arguments.param_dtype}, {flops_per_token(sizes) / 1e9:.2f} "
          f"GFLOP a token; measured GEMM {gemm:.0f} TFLOP/s, peak {PEAK_TFLOPS}")
    print_table(rows, gemm)
    return {"sizes": sizes, "param_dtype": arguments.param_dtype, "parameters": parameters, "flops_per_token": flops_per_token(sizes), "gemm_tflops": gemm,
            "peak_tflops": PEAK_TFLOPS, "rows": rows, "profile": profile}


def main():
    parser = machine.parser()
    parser.add_argument("part", choices=(*RATES, *PRESETS))
    parser.add_argument("--sides", default=",".join(SIDES))
    parser.add_argument("--param-dtype", choices=("bf16", "fp32"), default="bf16")
    arguments = parser.parse_args()
    if not set(arguments.sides.split(",")) <= set(SIDES):
        sys.exit(f"--sides are of {', '.join(SIDES)}, not {arguments.sides}")
    start = time.perf_counter()
    found = (rates if arguments.part in RATES else train)(arguments.part, arguments)
    passed = all(row.get("counts") for row in found.get("rows", []))
    result = {"part": arguments.part, **machine.describe(), "passed": passed, "seconds": round(time.perf_counter() - start, 1), **found}
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / f"bench-{arguments.part}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    sys.exit(not passed)


main()
