#!/usr/bin/env bash
# As tests/run.sh, but the lattices of settings run whole instead of as a pairwise cover.
set -euo pipefail
export ZERORUN_FULL=1
exec "$(dirname "${BASH_SOURCE[0]}")/run.sh"
