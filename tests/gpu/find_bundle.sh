# To be sourced by check.sh and bench.sh: finds the bundle (bundle.sh), unpacks it where need be, sources its env.sh, and shows the GPU. A bundle is the
# folder that these scripts were unpacked into, $ZERORUN_BUNDLE, or build/gpu/bundle.tar.xz of a repository, which is unpacked beside itself.
scripts=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
root=$(realpath "$scripts/../..")
if [ -n "${ZERORUN_BUNDLE:-}" ]; then
  bundle=$ZERORUN_BUNDLE
elif [ -e "$root/env.sh" ]; then
  bundle=$root
else
  archive=$root/build/gpu/bundle.tar.xz bundle=$root/build/gpu/unpacked
  if [ ! -e "$archive" ]; then
    echo "no bundle: set ZERORUN_BUNDLE to an unpacked one, or put one at $archive (tests/gpu/bundle.sh writes it where zerorun is built)" >&2
    exit 1
  fi
  if [ ! -e "$bundle/env.sh" ] || [ "$archive" -nt "$bundle/env.sh" ]; then
    rm -rf "$bundle"
    python3 -m tarfile -e "$archive" "$bundle"
    touch "$bundle/env.sh"
  fi
fi
if [ ! -e "$bundle/env.sh" ]; then
  echo "$bundle is no unpacked bundle: it has no env.sh" >&2
  exit 1
fi
. "$bundle/env.sh"

results=${OUT:-results}
mkdir -p "$results"
echo "bundle $bundle, built from $(cat "$bundle/VERSION"); results in $results"
if [ "${ZERORUN_DEVICE:-cuda}" = cuda ]; then
  command -v nvidia-smi >/dev/null || { echo "no nvidia-smi: this machine has no GPU, or no driver for it" >&2; exit 1; }
  nvidia-smi --query-gpu=name,driver_version,memory.total,memory.used,clocks.max.sm,power.limit --format=csv
fi
