#!/usr/bin/env bash
# Installs what a fresh Debian 12 machine lacks to build, test and run zerorun. The only place that lists packages.
# Safe to run again: what is there stays. As root, or as a user with sudo. Usage: docker/install-deps.sh [build|runtime]
#   build    compiler, libraries with headers, LibTorch           (default)
#   runtime  only what the finished program needs from Debian; LibTorch comes with the program
# ZERORUN_TORCH_DIR  folder that holds torch/ and nvidia/, filled if it is empty; default ~/.cache/zerorun/torch-2.11.0
# ZERORUN_CUDA       AUTO (default: where nvcc is found), ON, OFF: the libraries that LibTorch's CUDA part needs too, 3 GB, and the compiler where there is none
set -euo pipefail

TORCH_VERSION=2.11.0
TORCH_DIR=${ZERORUN_TORCH_DIR:-$HOME/.cache/zerorun/torch-$TORCH_VERSION}
# The CPU build needs three wheels: LibTorch itself and the two CUDA libraries that it names even on CPU.
WHEELS=("torch==$TORCH_VERSION" "nvidia-cuda-cupti==13.0.85" "nvidia-cuda-runtime==13.0.96")
# What libtorch_cuda names, in the versions that this LibTorch was built with.
CUDA_WHEELS=("nvidia-cublas==13.1.0.3" "nvidia-cuda-nvrtc==13.0.88" "nvidia-cufft==12.0.0.61" "nvidia-cufile==1.15.1.6"
             "nvidia-curand==10.4.0.35" "nvidia-cusparse==12.6.3.3" "nvidia-nvjitlink==13.0.88" "nvidia-cudnn-cu13==9.19.0.56"
             "nvidia-cusparselt-cu13==0.8.0" "nvidia-nccl-cu13==2.28.9" "nvidia-nvshmem-cu13==3.4.5")

# The compiler and its headers, for machines without a toolkit.
TOOLKIT_WHEELS=("nvidia-cuda-nvcc==13.0.88" "nvidia-nvvm==13.0.88" "nvidia-cuda-crt==13.0.88" "nvidia-cuda-cccl==13.0.85")

RUNTIME=(openmpi-bin libboost-program-options1.74.0 libyaml-cpp0.7 libfmt9 liburing2 libhwloc15)
BUILD=(ca-certificates g++ cmake ninja-build pkg-config ccache git python3 python3-pip libopenmpi-dev openmpi-bin
       libboost-program-options-dev libboost-context-dev libyaml-cpp-dev nlohmann-json3-dev libfmt-dev liburing-dev libhwloc-dev libxxhash-dev libgtest-dev libgmock-dev
       libbenchmark-dev python3-jsonschema python3-yaml)

say() { printf 'install-deps: %s\n' "$*" >&2; }

install_packages() {
  local missing=() as_root=() package
  for package in "$@"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { say "not root and no sudo; install by hand: ${missing[*]}"; exit 1; }
    as_root=(sudo)
  fi
  say "installing ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
}

# fetch_wheels FOLDER WHEELS...: unpacks them.
fetch_wheels() {
  local folder=$1
  shift
  python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-cache-dir --no-deps --no-compile \
    --only-binary=:all: --target "$folder" "$@"
}

# The wheels are unpacked beside their final place and moved there, so that an interrupted download leaves nothing half done.
# A folder that holds something else is never touched.
install_torch() {
  [ ! -e "$TORCH_DIR/torch/lib/libtorch_cpu.so" ] || return 0
  local part=$TORCH_DIR.part.$$
  say "fetching LibTorch $TORCH_VERSION into $TORCH_DIR (1.3 GB)"
  mkdir -p "$part"
  trap "rm -rf '$part'" EXIT
  fetch_wheels "$part" "${WHEELS[@]}"
  mv -T "$part" "$TORCH_DIR" || { say "$TORCH_DIR is not empty and holds no LibTorch; set ZERORUN_TORCH_DIR to another folder"; exit 1; }
}

has_nvcc() { command -v nvcc >/dev/null || [ -x /usr/local/cuda/bin/nvcc ] || [ -x "$TORCH_DIR/nvidia/cu13/bin/nvcc" ]; }

wants_cuda() {
  case "${ZERORUN_CUDA:-AUTO}" in
    ON)   return 0 ;;
    OFF)  return 1 ;;
    AUTO) has_nvcc ;;
    *)    say "ZERORUN_CUDA is '$ZERORUN_CUDA', expected AUTO, ON or OFF"; exit 64 ;;
  esac
}

# add_wheels LAST WHEELS...: beside LibTorch, where it looks for them. LAST, a file of theirs, is moved last, and says that all are there.
add_wheels() {
  local last=$1 part=$TORCH_DIR.cuda.$$
  shift
  mkdir -p "$part"
  trap "rm -rf '$part'" EXIT
  fetch_wheels "$part" "$@"
  mv "$part/$last" "$part/last"
  cp -rlf "$part/nvidia" "$TORCH_DIR/"
  mv "$part/last" "$TORCH_DIR/$last"
  rm -rf "$part"
}

install_cuda() {
  local nccl=nvidia/nccl/lib/libnccl.so.2 toolkit=$TORCH_DIR/nvidia/cu13
  if [ ! -e "$TORCH_DIR/$nccl" ]; then
    say "fetching the CUDA libraries of LibTorch into $TORCH_DIR (3 GB)"
    add_wheels "$nccl" "${CUDA_WHEELS[@]}"
  fi
  has_nvcc && return
  say "fetching the compiler of CUDA into $TORCH_DIR (0.3 GB)"
  ln -sfn lib "$toolkit/lib64"  # where the compiler looks for what it links
  ln -sf libcudart.so.13 "$toolkit/lib/libcudart.so"
  add_wheels nvidia/cu13/bin/nvcc "${TOOLKIT_WHEELS[@]}"
}

case "${1:-build}" in
  build)   install_packages "${BUILD[@]}"; install_torch; ! wants_cuda || install_cuda ;;
  runtime) install_packages "${RUNTIME[@]}" ;;
  *)       say "unknown mode '$1' (build or runtime)"; exit 64 ;;
esac
