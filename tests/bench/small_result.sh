#!/usr/bin/env bash
# Does a small training reach what plain PyTorch reaches? Trains tests/bench/small_result.yaml with zerorun (stage 3, 2 ranks) and
# its twin in PyTorch (peers/small_gpt.py), three seeds each, and prints the validation losses, their means and the ratio, as a table
# and as one line of JSON. Fails when the means differ by more than 1.5 %.
#   tests/bench/small_result.sh PATH/TO/zerorun
# About 12 minutes on 2 cores. Fetches, once: two Debian packages of text (1 MB), and PyTorch into ~/.cache/zerorun/peers (5 GB).
set -euo pipefail
program=$(realpath "${1:?usage: tests/bench/small_result.sh PATH/TO/zerorun}")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec </dev/null

out=build/small_result
seeds=(1 2 3)
stamp=$(date +%Y%m%d-%H%M%S)
mkdir -p "$out"

python=$(tests/bench/peers/install.sh)
if [ ! -e "$out/text.txt" ]; then
  (cd "$out" && apt-get download -qq fortunes fortunes-min && for package in fortunes*.deb; do dpkg -x "$package" packages; done)
  python3 tests/bench/peers/make_text.py "$out/packages/usr/share/games/fortunes" "$out/text.txt" 1100000
fi

if [ "$(id -u)" -eq 0 ]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
for seed in "${seeds[@]}"; do
  run=small_result-$stamp-seed$seed
  mpirun -np 2 --oversubscribe --bind-to none "$program" tests/bench/small_result.yaml --set "data.train=$out/text.txt" \
    --set "run.name=$run" --set "run.dir=$out/$run" --set "run.seed=$seed" >&2
  "$python" tests/bench/peers/small_gpt.py --data "$out/text.txt" --seed "$seed" --tied >"$out/$run/peer.json"
done

python3 - "$out/small_result-$stamp-seed" "${seeds[@]}" <<'PYTHON'
import json, statistics, sys
prefix, seeds = sys.argv[1], sys.argv[2:]
ours = [json.load(open(f"{prefix}{seed}/report.json"))["steps"]["last_validation_loss"] for seed in seeds]
peer = [json.load(open(f"{prefix}{seed}/peer.json"))["validation_loss"] for seed in seeds]
print(f"{'seed':>5} {'zerorun':>9} {'PyTorch':>9}")
for row in [*zip(seeds, ours, peer), ("mean", statistics.mean(ours), statistics.mean(peer))]:
    print(f"{row[0]:>5} {row[1]:>9.4f} {row[2]:>9.4f}")
ratio = statistics.mean(ours) / statistics.mean(peer)
print(json.dumps({"zerorun": ours, "pytorch": peer, "zerorun_mean": statistics.mean(ours), "pytorch_mean": statistics.mean(peer), "ratio": ratio}))
sys.exit(abs(ratio - 1) > 0.015)
PYTHON
