#!/usr/bin/env bash
# Copies the libraries that programs load, and those that these load, but for what every Linux has (glibc, libstdc++, zlib), what a folder has that is
# named (that of LibTorch), and the GPU's driver.
#   copy_libraries.sh [--except FOLDER] OUT FILES...
set -euo pipefail

declare -A except=()
if [ "${1:-}" = --except ]; then
  while read -r name; do except[$name]=yes; done < <(find "$2/" -name '*.so*' -printf '%f\n')
  shift 2
fi
[ $# -ge 2 ] || { echo "copy_libraries: usage: copy_libraries.sh [--except FOLDER] OUT FILES..." >&2; exit 1; }
out=$1
shift
everywhere='^(ld-linux.*|lib(c|m|dl|rt|pthread|util|resolv|gcc_s|stdc\+\+|z))\.so'
driver='^lib(cuda|nvidia-ml)\.so'

mkdir -p "$out"
for file in "$@"; do ldd "$file" 2>/dev/null || true; done | awk '$2 == "=>" { print $1, ($3 == "not" ? "-" : $3) }' | sort -u |
  while read -r name path; do
    if [[ $name =~ $everywhere || $name =~ $driver || -e $out/$name || ${except[$name]:-} ]]; then continue; fi
    if [ "$path" = - ]; then
      echo "copy_libraries: $name is not found on this machine, and one of the programs needs it: $*" >&2
      exit 1
    fi
    cp -L "$path" "$out/$name"
  done
