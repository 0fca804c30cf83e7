#!/usr/bin/env bash
# Puts the peers into ~/.cache/zerorun/peers, once (5 GB): a Python with PyTorch, of the version that zerorun is built with.
#   tests/bench/peers/install.sh              and with the word deepspeed DeepSpeed too, none of its operators built
# Prints the path of that Python.
set -euo pipefail
peers=$HOME/.cache/zerorun/peers
if [ ! -e "$peers/.complete" ]; then
  python3 -m venv "$peers" >&2
  "$peers/bin/pip" install --quiet --disable-pip-version-check torch==2.11.0 numpy >&2
  touch "$peers/.complete"
fi
if [ "${1:-}" = deepspeed ] && [ ! -e "$peers/.deepspeed" ]; then
  "$peers/bin/pip" install --quiet --disable-pip-version-check setuptools wheel ninja >&2
  DS_BUILD_OPS=0 "$peers/bin/pip" install --quiet --disable-pip-version-check --no-build-isolation deepspeed==0.19.8 >&2
  touch "$peers/.deepspeed"
fi
echo "$peers/bin/python"
