# To be sourced by bash: the bundle in which this lies, for this shell. Its programs and mpirun are on PATH, with the LibTorch 2.11.0 of this machine:
# the folder ZERORUN_TORCH_DIR, which holds torch/ and nvidia/, or where python3 finds the package torch.
ZERORUN_BUNDLE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ -z "${ZERORUN_TORCH_DIR:-}" ]; then
  ZERORUN_TORCH_DIR=$(python3 -c 'import importlib.util, pathlib
found = importlib.util.find_spec("torch")
print(pathlib.Path(found.origin).resolve().parents[1] if found and found.origin else "")' || true)
fi
if [ ! -e "$ZERORUN_TORCH_DIR/torch/lib/libtorch_cpu.so" ]; then
  echo "env.sh: no LibTorch: python3 has no package torch; set ZERORUN_TORCH_DIR to the site-packages folder that holds torch/ and nvidia/" >&2
  return 1
fi
export ZERORUN_BUNDLE ZERORUN_TORCH_DIR ZERORUN_TEST_DATA_ROOT=$ZERORUN_BUNDLE/tests

zerorun_libraries=$ZERORUN_BUNDLE/lib:$ZERORUN_TORCH_DIR/torch/lib
for zerorun_folder in "$ZERORUN_TORCH_DIR"/nvidia/*/lib; do
  [ ! -d "$zerorun_folder" ] || zerorun_libraries+=:$zerorun_folder
done
export LD_LIBRARY_PATH=$zerorun_libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} PATH=$ZERORUN_BUNDLE/bin:$PATH
unset zerorun_libraries zerorun_folder
. "$ZERORUN_BUNDLE/ompi/env.sh"
