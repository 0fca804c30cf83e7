#include "launcher/environment.h"

#include <ATen/Version.h>
#include <gnu/libc-version.h>
#include <malloc.h>
#include <torch/headeronly/version.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>
#include <vector>

#include "comm/mpi_session.h"
#include "core/gpu/gpu.h"
#include "core/error.h"
#include "launcher/command_line.h"
#include "launcher/machine.h"

namespace zerorun {
namespace {

using Json = nlohmann::ordered_json;

// The rest of the line that begins with `label` and a colon.
Json line_of(const char* path, const std::string& label) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(':');
    if (line.starts_with(label) && colon != std::string::npos && colon + 2 <= line.size()) return line.substr(colon + 2);
  }
  return nullptr;
}

Json number_in(const char* path) {
  std::ifstream file(path);
  int64_t value = 0;
  return file >> value ? Json(value) : Json();
}

// The kernel marks the choice: "always [madvise] never".
Json chosen_in(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  const size_t begin = line.find('['), end = line.find(']');
  return begin == std::string::npos || end == std::string::npos ? Json() : Json(line.substr(begin + 1, end - begin - 1));
}

// The forms in which flat_kernels.cpp and softmax_rows.cpp are compiled, of those that this processor has.
Json kernel_instruction_sets() {
  Json sets = Json::array({"default"});
  if (__builtin_cpu_supports("avx2")) sets.push_back("avx2");
  if (__builtin_cpu_supports("x86-64-v4")) sets.push_back("avx512");  // with its instructions for bytes and words
  return sets;
}

// What install_counting_allocators() asks of glibc, tried: the environment may have the last word. What libraries have freed since the program was loaded is used up first.
bool maps_large_blocks() {
  std::vector<std::unique_ptr<char[]>> blocks(512);
  const size_t before = mallinfo2().hblks;
  for (auto& block : blocks) {
    block.reset(new char[size_t{64} << 10]);
    static_cast<volatile char*>(block.get())[0] = 0;
    if (mallinfo2().hblks > before) return true;
  }
  return false;
}

Json ranks_of_launch() {
  const char* ranks = std::getenv("OMPI_COMM_WORLD_SIZE");
  return ranks ? std::atoi(ranks) : 1;
}

// Of the environment: what changes how LibTorch, OpenMP and glibc behave, where it is set.
Json variables() {
  Json set = Json::object();
  for (const char* name : {"OMP_NUM_THREADS", "OMP_PROC_BIND", "OMP_PLACES", "OMP_WAIT_POLICY", "MKL_NUM_THREADS", "MKL_CBWR", "ATEN_CPU_CAPABILITY",
                           "GLIBC_TUNABLES", "MALLOC_ARENA_MAX", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_",
                           "LD_PRELOAD"}) {
    if (const char* value = std::getenv(name)) set[name] = value;
  }
  return set;
}

Json gpus() {
  Json all = Json::array();
  for (const auto& gpu : gpu::visible()) all.push_back(fmt::format("{} ({} bytes, compute capability {}.{}, {})", gpu.name, gpu.total_bytes, gpu.compute_major, gpu.compute_minor, gpu.pci_bus));
  return all;
}

Json environment() {
  const auto memory = memory_at_hand();
  const auto limit = cgroup_memory_limit();
  const std::string mpi = mpi_library();
  return {{"zerorun", version()},
          {"libtorch", TORCH_VERSION},
          {"mpi", mpi.empty() ? Json() : Json(mpi)},
          {"cuda", gpu::build().empty() ? Json() : Json(gpu::build())},
          {"gpus", gpus()},
          {"no_gpu", gpu::absence().empty() ? Json() : Json(gpu::absence())},
          {"ranks", ranks_of_launch()},
          {"cpu", line_of("/proc/cpuinfo", "model name")},
          {"kernel_instruction_sets", kernel_instruction_sets()},
          {"libtorch_cpu_capability", at::get_cpu_capability()},
          {"usable_cores", usable_cores()},
          {"memory_at_hand_bytes", memory.bytes},
          {"memory_at_hand_source", memory.source},
          {"cgroup_memory_limit_bytes", limit ? Json(*limit) : Json()},
          {"glibc", gnu_get_libc_version()},
          {"maps_blocks_of_64KiB", maps_large_blocks()},
          {"max_map_count", number_in("/proc/sys/vm/max_map_count")},
          {"overcommit_memory", number_in("/proc/sys/vm/overcommit_memory")},
          {"transparent_hugepage", chosen_in("/sys/kernel/mm/transparent_hugepage/enabled")},
          {"variables", variables()}};
}

std::string text_of(const Json& value) {
  if (value.is_null() || value.empty()) return "none";
  if (value.is_string()) return value.get<std::string>();
  std::string text;
  for (const auto& [key, item] : value.items()) {
    if (!value.is_structured()) return value.dump();
    text += (text.empty() ? "" : value.is_object() ? " " : ", ") + (value.is_object() ? key + "=" : "") + text_of(item);
  }
  return text;
}

}  // namespace

void print_environment(bool json, std::ostream& out) {
  const auto all = environment();
  if (json) {
    out << all.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
    return;
  }
  size_t width = 0;
  for (const auto& [name, value] : all.items()) width = std::max(width, name.size());
  for (const auto& [name, value] : all.items()) out << name << std::string(width + 2 - name.size(), ' ') << text_of(value) << '\n';
}

}  // namespace zerorun
