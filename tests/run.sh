#!/usr/bin/env bash
# Installs what is missing, builds, runs every test. Takes no input; works from any folder.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec </dev/null

if [ "$(id -u)" -eq 0 ]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
docker/install-deps.sh
cmake --preset release -DZERORUN_WARNINGS_AS_ERRORS=ON
cmake --build --preset release
exec ctest --test-dir build/release -j2 --output-on-failure
