# Installs the headers as include/zerorun/..., with their includes of each other rewritten from "core/unit.h" to
# "zerorun/core/unit.h". So one folder on the include path is enough, and a user's own core/unit.h is neither taken for
# ours nor hidden by it. Reads `source`, the project's folder, and `destination`.
set(private core/account.h core/arena.h core/arena_layout.h core/pch.h core/philox.h core/gpu/allocator.h core/gpu/cuda_check.h core/gpu/mapped_bytes.h core/gpu/stretch.h core/weights/config_values.h core/weights/json_file.h comm/mpi_transport.h comm/nccl_group.h comm/slab_memory.h zero/random_words.h zero/update_rules.h)

function(install_header from to)
  file(READ "${source}/${from}" text)
  string(REGEX REPLACE "#include \"(core|comm|offload|zero)/" "#include \"zerorun/\\1/" text "${text}")
  set(old "")
  if(EXISTS "${destination}/${to}")
    file(READ "${destination}/${to}" old)
  endif()
  if(NOT text STREQUAL old)
    file(WRITE "${destination}/${to}" "${text}")
  endif()
endfunction()

file(GLOB_RECURSE headers RELATIVE "${source}" "${source}/core/*.h" "${source}/comm/*.h" "${source}/offload/*.h" "${source}/zero/*.h")
list(REMOVE_ITEM headers ${private})
list(FILTER headers EXCLUDE REGEX "^core/ops/kernels/")
foreach(header ${headers})
  install_header(${header} ${header})
endforeach()
install_header(launcher/library/zerorun.h zerorun.h)
install_header(launcher/library/module_unit.h module_unit.h)
list(LENGTH headers count)
message(STATUS "Installed: ${count} headers in ${destination}")
