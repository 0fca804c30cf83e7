#!/usr/bin/env bash
# Packs what a machine with a GPU needs to check what was built here: programs, test data, OpenMPI and Debian's libraries. LibTorch is that machine's own.
#   tests/gpu/bundle.sh OUT.tar.xz [--nccl LIBNCCL] [--only NAMES] [--build FOLDER]
#     --nccl   a libnccl.so.2 of 2.30.3 or later (PyPI: nvidia-nccl-cu13), of which the code for compute capability 9.0 is packed, for the nccl part of
#              check.sh alone: it lets several ranks share a GPU
#     --only   some of the programs, by name, with commas
#     --build  default build/release
# OUT must stay below 60 MiB. There: python3 -m tarfile -e OUT.tar.xz FOLDER, then . FOLDER/env.sh
set -euo pipefail

# Paths in the build folder; each is a target of the same name.
PROGRAMS=(launcher/zerorun tests/gpu/gpu_kernels_on_gpu_test tests/gpu/gpu_test tests/gpu/gpu_bench tests/comm/nccl_contract_on_gpu
          tests/core/core_test tests/comm/comm_test tests/offload/offload_test tests/zero/zero_test)
DATA=(tests/core/data tests/zero/data)
MAX_BYTES=$((60 << 20))

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
root=$(realpath "$here/../..")
say() { printf 'bundle: %s\n' "$*" >&2; exit 1; }

out='' nccl='' only='' build=$root/build/release
while [ $# -gt 0 ]; do
  case $1 in
    --nccl) nccl=${2:?bundle: --nccl needs a file}; shift 2 ;;
    --only) only=,${2:?bundle: --only needs names},; shift 2 ;;
    --build) build=$(realpath "${2:?bundle: --build needs a folder}"); shift 2 ;;
    -*) say "unknown option $1" ;;
    *) [ -z "$out" ] || say "one file to write, not $out and $1"; out=$1; shift ;;
  esac
done
[ -n "$out" ] || say "usage: bundle.sh OUT.tar.xz [--nccl LIBNCCL] [--only NAMES] [--build FOLDER]"
[ -z "$nccl" ] || [ -e "$nccl" ] || say "no file $nccl"
torch=$(sed -n 's/^ZERORUN_TORCH_DIR:[A-Z]*=//p' "$build/CMakeCache.txt" 2>/dev/null) || say "$build is no build folder: cmake --preset release"

wanted=() missing=()
for program in "${PROGRAMS[@]}"; do
  name=${program##*/}
  [ -z "$only" ] || [[ $only == *,$name,* ]] || continue
  wanted+=("$program")
  [ -x "$build/$program" ] || missing+=("$name")
done
[ ${#wanted[@]} -gt 0 ] || say "--only ${only//,/ } names none of: ${PROGRAMS[*]##*/}"
[ ${#missing[@]} -eq 0 ] || say "not built: ${missing[*]}. Build them: cmake --build $build --target ${missing[*]}"

part=$(mktemp -d)
trap 'rm -rf "$part"' EXIT
mkdir -p "$part/bin"
for program in "${wanted[@]}"; do cp "$build/$program" "$part/bin/"; done
strip --strip-unneeded "$part"/bin/*
"$here/copy_libraries.sh" --except "$torch" "$part/lib" "${wanted[@]/#/$build/}"
"$here/pack_openmpi.sh" "$part/ompi"
rm -f $(cd "$part/ompi/lib" && for name in *; do echo "$part/lib/$name"; done)  # once is enough
for folder in "${DATA[@]}"; do mkdir -p "$part/$(dirname "$folder")" && cp -r "$root/$folder" "$part/$folder"; done
mkdir -p "$part/tests/gpu" && cp -r "$here"/*.sh "$here"/*.py "$here/peers" "$part/tests/gpu/"
rm -rf "$part"/tests/gpu/__pycache__ "$part"/tests/gpu/peers/__pycache__
cp "$here/bundle_env.sh" "$part/env.sh"
if [ -n "$nccl" ]; then
  mkdir "$part/nccl" && python3 "$here/slim_cubins.py" "$nccl" "$part/nccl/libnccl.so.2" 90
fi
git -C "$root" describe --always --dirty >"$part/VERSION" 2>/dev/null || echo unknown >"$part/VERSION"

mkdir -p "$(dirname "$out")"
tar -C "$part" -c . | xz -T1 -9 >"$out.part"  # programs have much in common, which a window of 64 MiB sees
bytes=$(stat -c %s "$out.part")
[ "$bytes" -lt $MAX_BYTES ] || say "$out would have $bytes bytes, and at most $MAX_BYTES may be carried; leave programs out with --only"
mv "$out.part" "$out"
printf '%s: %s, %s MiB, %s\n' "$out" "$(cat "$part/VERSION")" "$((bytes >> 20))" "${wanted[*]##*/}"
