#!/usr/bin/env bash
# Puts the peers into ~/.cache/zerorun/peers, once (5 GB): a Python with PyTorch, of the version that zerorun is built with.
#   tests/bench/peers/install.sh
# Prints the path of that Python.
set -euo pipefail
peers=$HOME/.cache/zerorun/peers
if [ ! -e "$peers/.complete" ]; then
  python3 -m venv "$peers" >&2
  "$peers/bin/pip" install --quiet --disable-pip-version-check torch==2.11.0 numpy >&2
  touch "$peers/.complete"
fi
echo "$peers/bin/python"
