#!/usr/bin/env bash
# Builds tests with sanitizers, in a build folder of their own, and runs them. Usage: check.sh address|thread
# Of the lattices of settings, whose cases take the same paths again and again, the address sanitizer sees a quarter; with ZERORUN_FULL all.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# Some kernels place memory where the thread sanitizer of g++ 12 cannot follow, unless at fixed places.
at_fixed_places() {
  if setarch -R true 2>/dev/null; then setarch -R "$@"; else "$@"; fi
}

case "${1:-}" in
  address)
    cmake --preset dev
    cmake --build --preset dev --target unit_tests
    if [ -n "${ZERORUN_FULL:-}" ]; then
      ctest --preset unit -j2
    else
      ctest --preset unit -j2 -E '[2-4]_of_4|[2346-8]_of_8'
    fi
    ;;
  thread)
    cmake --preset thread
    cmake --build --preset thread --target comm_test
    # One compute thread: what OpenMP orders is not seen, as LibTorch and libgomp are built without the sanitizer.
    export OMP_NUM_THREADS=1 TSAN_OPTIONS="ignore_noninstrumented_modules=1 halt_on_error=1"
    at_fixed_places build/thread/tests/comm/comm_test --gtest_brief=1
    ;;
  *)
    echo "usage: check.sh address|thread" >&2
    exit 64
    ;;
esac
