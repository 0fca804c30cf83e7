# Where LibTorch lies: docker/install-deps.sh puts the wheel where this looks by default.
set(ZERORUN_TORCH_DIR "$ENV{ZERORUN_TORCH_DIR}" CACHE PATH "folder that holds torch/ and nvidia/")
if(NOT ZERORUN_TORCH_DIR)
  set(ZERORUN_TORCH_DIR "$ENV{HOME}/.cache/zerorun/torch-2.11.0" CACHE PATH "" FORCE)
endif()
if(NOT EXISTS "${ZERORUN_TORCH_DIR}/torch/lib/libtorch_cpu.so")
  message(FATAL_ERROR "no LibTorch in ${ZERORUN_TORCH_DIR}: run docker/install-deps.sh, or set -DZERORUN_TORCH_DIR=<site-packages with torch/>")
endif()
