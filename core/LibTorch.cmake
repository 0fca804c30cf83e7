# LibTorch of the PyPI wheel through own imported targets: torch::c10, torch::torch_cpu. find_package(Torch) would want
# a CUDA toolkit and leak its definitions.
include("${CMAKE_CURRENT_LIST_DIR}/TorchFolder.cmake")

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

# With CUDA: LibTorch's part for it, and NCCL of the wheel, which that part loads anyway. Nothing names symbols of libtorch_cuda, which registers its
# kernels when it is loaded: the links above keep it all the same.
if(ZERORUN_HAS_CUDA)
  set(NCCL_DIR "${ZERORUN_TORCH_DIR}/nvidia/nccl")
  list(APPEND CMAKE_BUILD_RPATH "${NCCL_DIR}/lib" "${ZERORUN_TORCH_DIR}/nvidia/cudnn/lib")
  list(APPEND CMAKE_INSTALL_RPATH "${NCCL_DIR}/lib" "${ZERORUN_TORCH_DIR}/nvidia/cudnn/lib")
  add_library(torch::cudart SHARED IMPORTED GLOBAL)
  set_target_properties(torch::cudart PROPERTIES IMPORTED_LOCATION "${ZERORUN_TORCH_DIR}/nvidia/cu13/lib/libcudart.so.13")
  add_torch_library(c10_cuda torch::c10 torch::cudart)
  add_torch_library(torch_cuda torch::torch_cpu torch::c10_cuda)
  add_library(nccl::nccl SHARED IMPORTED GLOBAL)
  set_target_properties(nccl::nccl PROPERTIES IMPORTED_LOCATION "${NCCL_DIR}/lib/libnccl.so.2" INTERFACE_INCLUDE_DIRECTORIES "${NCCL_DIR}/include")
endif()
