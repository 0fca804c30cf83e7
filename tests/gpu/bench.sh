#!/usr/bin/env bash
# How fast zerorun is on a GPU, beside PyTorch on the same one; from the root of the project or of an unpacked bundle. Each part takes less than 8 minutes.
#   tests/gpu/bench.sh PART [--sides zerorun,eager,compile,fsdp2,eager-cudnn,compile-cudnn]
#     gemm copies adamw                                     what the GPU does in a second
#     gpt2_124m gpt2_355m gpt2_774m gpt2_1.5b llama_1b      training
#     offload                                               a LLaMA whose weights and optimizer sleep in host memory, beside what it would take at least
# Prints a table and writes ${OUT:-results}/bench-PART.json. python3 must have torch. ZERORUN_DEVICE=cpu with gpt2_tiny, llama_tiny or offload tries the scripts.
set -euo pipefail
[ $# -gt 0 ] || { sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 64; }
. "$(dirname "${BASH_SOURCE[0]}")/find_bundle.sh"
if [ "$1" = offload ]; then
  shift
  exec python3 "$scripts/offload.py" "$@" --out "$results" --device "${ZERORUN_DEVICE:-cuda}"
fi
python3 -c 'import torch' || { echo "python3 has no torch: the other side of the comparison is missing" >&2; exit 1; }
exec python3 "$scripts/bench.py" "$@" --out "$results" --device "${ZERORUN_DEVICE:-cuda}"
