# LibTorch of the PyPI wheel through own imported targets: torch::c10, torch::torch_cpu. find_package(Torch) would want
# a CUDA toolkit and leak its definitions. docker/install-deps.sh puts the wheel where ZERORUN_TORCH_DIR looks by default.
set(ZERORUN_TORCH_DIR "$ENV{ZERORUN_TORCH_DIR}" CACHE PATH "folder that holds torch/ and nvidia/")
if(NOT ZERORUN_TORCH_DIR)
  set(ZERORUN_TORCH_DIR "$ENV{HOME}/.cache/zerorun/torch-2.11.0" CACHE PATH "" FORCE)
endif()
if(NOT EXISTS "${ZERORUN_TORCH_DIR}/torch/lib/libtorch_cpu.so")
  message(FATAL_ERROR "no LibTorch in ${ZERORUN_TORCH_DIR}: run docker/install-deps.sh, or set -DZERORUN_TORCH_DIR=<site-packages with torch/>")
endif()

list(APPEND CMAKE_BUILD_RPATH "${ZERORUN_TORCH_DIR}/torch/lib" "${ZERORUN_TORCH_DIR}/nvidia/cu13/lib")
list(APPEND CMAKE_INSTALL_RPATH ${CMAKE_BUILD_RPATH})

function(add_torch_library name)
  add_library(torch::${name} SHARED IMPORTED GLOBAL)
  set_target_properties(torch::${name} PROPERTIES
    IMPORTED_LOCATION "${ZERORUN_TORCH_DIR}/torch/lib/lib${name}.so"
    INTERFACE_INCLUDE_DIRECTORIES "${ZERORUN_TORCH_DIR}/torch/include;${ZERORUN_TORCH_DIR}/torch/include/torch/csrc/api/include"
    INTERFACE_LINK_LIBRARIES "${ARGN}"
    INTERFACE_LINK_OPTIONS "LINKER:--no-as-needed;LINKER:-rpath-link,${ZERORUN_TORCH_DIR}/nvidia/cu13/lib;LINKER:--allow-shlib-undefined")
endfunction()
add_torch_library(c10)
add_torch_library(torch_cpu torch::c10)
