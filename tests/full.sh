#!/usr/bin/env bash
# As tests/run.sh, but the lattice of settings runs whole under mpirun and under the address sanitizer too, instead of as a
# cover. With ranks as threads it always runs whole.
set -euo pipefail
export ZERORUN_FULL=1
exec "$(dirname "${BASH_SOURCE[0]}")/run.sh"
