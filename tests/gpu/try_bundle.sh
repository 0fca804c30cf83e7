#!/usr/bin/env bash
# Whether a bundle starts on a machine that has nothing of ours: a newer Debian, made by debootstrap in a temporary folder, with Python and a LibTorch at
# another place than here, without OpenMPI, toolkit, xz or any library of Debian 12. As root; not run by the tests.
#   tests/gpu/try_bundle.sh BUNDLE.tar.xz [--only PARTS] [--suite trixie] [--system FOLDER]
#     --only     of help,env,train,core_test,comm_test,offload_test,zero_test, with commas; without it all, and a program that is missing is a failure
#     --system   keeps the system there, or takes the one that is there
# Prints PASS or FAIL for each part and ends with 1 where one failed. The Debian mirror is the one that apt uses here; LibTorch is ZERORUN_TORCH_DIR, or that
# of the build folder.
set -euo pipefail

PARTS=help,env,train,core_test,comm_test,offload_test,zero_test
SECONDS_OF_A_PART=900
self=$(realpath "${BASH_SOURCE[0]}")
say() { printf 'try_bundle: %s\n' "$*" >&2; exit 1; }

# All mounts are made in a mount namespace of our own: they end with this process, however it ends.
if [ "${ZERORUN_TRY_INSIDE:-}" != yes ]; then
  [ "$(id -u)" -eq 0 ] || say "debootstrap and chroot need root"
  ZERORUN_TRY_INSIDE=yes exec unshare --mount --propagation private "$self" "$@"
fi

bundle='' only=$PARTS suite=trixie system=''
while [ $# -gt 0 ]; do
  case $1 in
    --only) only=${2:?try_bundle: --only needs parts}; shift 2 ;;
    --suite) suite=${2:?try_bundle: --suite needs a name}; shift 2 ;;
    --system) system=$(realpath -m "${2:?try_bundle: --system needs a folder}"); shift 2 ;;
    -*) say "unknown option $1" ;;
    *) bundle=$(realpath "$1"); shift ;;
  esac
done
[ -n "$bundle" ] || say "usage: try_bundle.sh BUNDLE.tar.xz [--only PARTS] [--suite trixie] [--system FOLDER]"
[ -e "$bundle" ] || say "no file $bundle"
for part in ${only//,/ }; do [[ ,$PARTS, == *,$part,* ]] || say "no part $part; there are $PARTS"; done
torch=${ZERORUN_TORCH_DIR:-$(sed -n 's/^ZERORUN_TORCH_DIR:[A-Z]*=//p' "$(dirname "$self")/../../build/release/CMakeCache.txt" 2>/dev/null || true)}
[ -e "$torch/torch/lib/libtorch_cpu.so" ] || say "no LibTorch in '$torch'; set ZERORUN_TORCH_DIR to the folder that holds torch/ and nvidia/"
command -v debootstrap >/dev/null || say "no debootstrap: apt-get install debootstrap"

work=$(mktemp -d)
[ -n "$system" ] || system=$work/system
mounts=()
clean_up() {
  local at
  for ((at = ${#mounts[@]} - 1; at >= 0; at--)); do umount "${mounts[at]}" || umount -l "${mounts[at]}" || true; done
  rm -rf --one-file-system "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

if [ ! -e "$system/etc/debian_version" ]; then
  mirror=$(apt-get indextargets --format '$(CODENAME) $(SITE)' 'Created-By: Packages' | awk -v own="$(. /etc/os-release && echo "$VERSION_CODENAME")" '$1 == own {print $2; exit}')
  [ -n "$mirror" ] || say "apt names no mirror of this Debian: apt-get update"
  echo "making a $suite system in $system" >&2
  mkdir -p "$system"
  debootstrap --variant=minbase --include=python3 "$suite" "$system" "$mirror" >"$work/debootstrap.log" 2>&1 || { tail -20 "$work/debootstrap.log" >&2; say "debootstrap failed"; }
fi

# place FOLDER OPTIONS...: mounts something there
place() {
  mkdir -p "$system/$1"
  mount "${@:2}" "$system/$1"
  mounts+=("$system/$1")
}
place proc -t proc proc
place dev/shm -t tmpfs tmpfs
place tmp -t tmpfs tmpfs
place opt/elsewhere --bind "$torch"
mkdir "$work/carried"  # on a disk, as some tests need one
place root/carried --bind "$work/carried"
cp "$bundle" "$system/root/carried/bundle.tar.xz"
cat >"$system/root/carried/train.yaml" <<'END'
run: {name: tiny, dir: /root/carried/run}
model: {family: gpt2, vocab_size: 256, hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2, max_position_embeddings: 32}
data: {train: /root/carried/bundle.tar.xz, format: bytes}
training: {steps: 5, global_batch_size: 4, micro_batch_size: 2, seq_len: 32}
optimizer: {lr: 1.0e-3}
END

# inside COMMAND: in the new system, with the bundle's env.sh
inside() {
  timeout $SECONDS_OF_A_PART env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root ZERORUN_TORCH_DIR=/opt/elsewhere \
    chroot "$system" bash -c "set -e; cd /root/carried; [ ! -e unpacked ] || . unpacked/env.sh; $1" </dev/null
}
inside 'python3 -m tarfile -e bundle.tar.xz unpacked; rm bundle.tar.xz; cp /usr/bin/python3 bytes' >"$work/unpack.log" 2>&1 || { cat "$work/unpack.log" >&2; say "it does not unpack"; }
sed -i 's/bundle.tar.xz/bytes/' "$system/root/carried/train.yaml"
for there in mpirun nvcc xz; do ! inside "PATH=/usr/sbin:/usr/bin command -v $there" >/dev/null 2>&1 || say "the new system has $there, which it should not"; done
echo "in $(. "$system/etc/os-release" && echo "$PRETTY_NAME"), $(inside 'ldd --version | head -1'), bundle of $(cat "$system/root/carried/unpacked/VERSION")"

failed=0
# part NAME COMMAND [WHAT IT MUST PRINT]
part() {
  [[ ,$only, == *,$1,* ]] || return 0
  local start=$SECONDS
  if inside "$2" >"$work/log" 2>&1 && grep -qE -- "${3:-.}" "$work/log"; then
    printf 'PASS %s (%d s)\n' "$1" $((SECONDS - start))
  else
    printf 'FAIL %s: %s\n' "$1" "$2"
    tail -30 "$work/log"
    failed=1
  fi
}
part help 'zerorun --help' 'zerorun'
part env 'zerorun env' 'LibTorch|torch'
part train 'mpirun --oversubscribe --bind-to none -np 2 zerorun train.yaml && test -s run/hf/model.safetensors && test -s run/report.json && cat run/metrics.jsonl' '"step": ?5'
for test in core_test comm_test offload_test zero_test; do part $test "unpacked/bin/$test --gtest_brief=1" '\[  PASSED  \]'; done
exit $failed
