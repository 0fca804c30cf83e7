#!/usr/bin/env bash
# From a clone on a fresh Debian 12 machine to a trained model: installs what is missing, builds, packs the project's own
# sources and documentation as text, trains a small GPT on it, on 2 ranks, ZeRO stage 3, and lets it write. Takes no input; works from
# any folder.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec </dev/null

list_files() {
  git ls-files --cached --others --exclude-standard 2>/dev/null || find . \( -path ./.git -o -path ./build -o -path ./runs \) -prune -o -type f -print
}

# One text file: every source and document under its name.
pack_text() {
  list_files | LC_ALL=C sort | grep -E '\.(h|cpp|py|sh|cmake|yaml|md)$|CMakeLists\.txt$' | while IFS= read -r file; do
    printf '==== %s\n\n' "${file#./}"
    cat "$file"
  done
}

docker/install-deps.sh
cmake --preset release
cmake --build --preset release --target zerorun
mkdir -p build/quickstart
pack_text >build/quickstart/corpus.txt

if [ "$(id -u)" -eq 0 ]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
# A machine with one core gets two ranks all the same; ranks share out the cores by themselves.
on_two_ranks=(mpirun -np 2 --oversubscribe --bind-to none build/release/launcher/zerorun)
run="quickstart-$(date +%Y%m%d-%H%M%S)"
"${on_two_ranks[@]}" examples/quickstart.yaml --set "run.name=$run"

prompt=$'#include "core/'
printf '\nWhat it writes after %s\n\n%s' "$prompt" "$prompt"
"${on_two_ranks[@]}" generate --hf "runs/$run" --prompt "$prompt" --max-tokens 200 --temperature 0.7 --seed 1
