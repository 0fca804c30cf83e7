#!/usr/bin/env bash
# Checks zerorun on a machine with a GPU, from the root of the project or of an unpacked bundle. Each part takes less than 8 minutes.
#   tests/gpu/check.sh [PART...]     kernels sanitizer engine nccl losses memory rates; without a part, all of them
# Writes a line of JSON for everything checked to ${OUT:-results}/PART.jsonl, and what programs printed to PART.log. Ends with 1 where something failed.
# ZERORUN_BUNDLE   an unpacked bundle, where it is neither here nor in build/gpu
# ZERORUN_DEVICE   cpu: tries the scripts themselves where there is no GPU (losses, memory and rates alone)
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/find_bundle.sh"

LIMIT=450  # seconds of a part
device=${ZERORUN_DEVICE:-cuda}

# program PART COMMAND...
program() {
  local part=$1
  shift
  python3 "$scripts/program.py" "$results" "$part" "$LIMIT" "$@"
}

# needs NAME: a program of the bundle
needs() {
  [ -x "$bundle/bin/$1" ] || { echo "FAIL: the bundle has no $1; pack it with tests/gpu/bundle.sh" >&2; return 1; }
}

kernels() { needs gpu_kernels_on_gpu_test && program kernels "$bundle/bin/gpu_kernels_on_gpu_test" --gtest_brief=1; }

engine() { needs gpu_test && program engine "$bundle/bin/gpu_test" --gtest_brief=1; }

sanitizer() {
  local tool failed=0
  tool=$(PATH=$PATH:/usr/local/cuda/bin command -v compute-sanitizer) || { echo "sanitizer: left out, there is no compute-sanitizer on PATH or in /usr/local/cuda/bin"; return 0; }
  needs gpu_kernels_on_gpu_test || return 1
  for check in memcheck racecheck; do
    LIMIT=$((LIMIT / 2)) program "sanitizer-$check" "$tool" --tool "$check" --error-exitcode 9 "$bundle/bin/gpu_kernels_on_gpu_test" --gtest_brief=1 || failed=1
  done
  return $failed
}

nccl() {
  needs nccl_contract_on_gpu || return 1
  [ -e "$bundle/nccl/libnccl.so.2" ] || { echo "FAIL: the bundle has no newer NCCL, without which ranks cannot share a GPU: bundle.sh --nccl LIBNCCL" >&2; return 1; }
  # Each kind alone: what one of them hangs in is not the others'. Windows of ranks that share a GPU come last: NCCL calls that an experiment.
  local kind filter failed=0
  for kind in staged strict fast more windows; do
    case $kind in
      staged) filter='*/staged*' ;;
      strict) filter='*/strict*:*/counted*' ;;
      fast) filter='*/fast*' ;;
      more) filter='Nccl.*' ;;
      windows) filter='*/registered*' ;;
    esac
    LD_LIBRARY_PATH=$bundle/nccl:$LD_LIBRARY_PATH NCCL_MULTI_RANK_GPU_ENABLE=1 NCCL_NVLS_ENABLE=0 NCCL_MAX_CTAS=1 NCCL_DEBUG=${NCCL_DEBUG:-WARN} LIMIT=90 \
      program "nccl-$kind" mpirun --oversubscribe --bind-to none -np 2 "$bundle/bin/nccl_contract_on_gpu" --gtest_filter="$filter" || failed=1
  done
  return $failed
}

losses() { needs zerorun && timeout -k 10 $LIMIT python3 "$scripts/losses.py" --out "$results" --device "$device"; }

memory() { needs zerorun && timeout -k 10 $LIMIT python3 "$scripts/memory.py" --out "$results" --device "$device"; }

rates() { needs zerorun && timeout -k 10 $LIMIT python3 "$scripts/rates.py" --out "$results" --device "$device"; }

failed=()
[ $# -gt 0 ] || set -- kernels sanitizer engine nccl losses memory rates
for part in "$@"; do
  case $part in
    kernels | sanitizer | engine | nccl | losses | memory | rates) ;;
    *) echo "no part $part; there are: kernels sanitizer engine nccl losses memory rates" >&2; exit 64 ;;
  esac
  echo "== $part"
  $part || failed+=("$part")
done
[ ${#failed[@]} -eq 0 ] || { echo "FAILED: ${failed[*]}"; exit 1; }
echo "all passed: $*"
