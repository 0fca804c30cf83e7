#!/usr/bin/env bash
# Trains 1.24 billion parameters for three steps under a memory limit of 6 GiB (or LIMIT_MIB): first as everybody would, which the plan refuses, then with
# what is large on disk. The limit is the kernel's: a memory cgroup where one can be made, else RLIMIT_DATA. Takes 23 GB of disk, minutes a step.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec </dev/null
limit_mib="${LIMIT_MIB:-6144}"
program="${ZERORUN:-build/release/launcher/zerorun}"
if [ ! -x "$program" ]; then
  docker/install-deps.sh
  cmake --preset release
  cmake --build --preset release --target zerorun
fi
mkdir -p build/offload
run="llama_1b_nvme-$(date +%Y%m%d-%H%M%S)"

# Runs a command under the limit, in a process of its own.
limited() {
  local group=/sys/fs/cgroup/memory/zerorun-$$
  if mkdir "$group" 2>/dev/null && echo "$((limit_mib << 20))" 2>/dev/null >"$group/memory.limit_in_bytes"; then
    local status=0
    (echo "$BASHPID" >"$group/cgroup.procs" && exec "$@") || status=$?
    printf 'under a memory cgroup of %d MiB, of which %d MiB were taken\n' "$limit_mib" "$(($(cat "$group/memory.max_usage_in_bytes") >> 20))"
    for _ in $(seq 50); do rmdir "$group" 2>/dev/null && break || sleep 0.1; done
    return "$status"
  fi
  rmdir "$group" 2>/dev/null || true
  (ulimit -d "$((limit_mib << 10))" && exec "$@")
}

echo "Without offload:"
limited "$program" examples/llama_1b_nvme.yaml --set "run.name=$run-resident" --set zero_optimization.offload_param.device=none \
  --set zero_optimization.offload_optimizer.device=none && exit 1
echo
echo "With parameters, gradients and optimizer states on disk:"
limited "$program" examples/llama_1b_nvme.yaml --set "run.name=$run"
