#include "core/architectures/architecture.h"

#include <algorithm>
#include <map>

#include "core/error.h"
#include "core/model.h"

namespace zerorun {
namespace {

bool is_of_expert(const std::string& name) { return name.find(".experts.") != std::string::npos; }
bool is_block(const Unit& unit) { return unit.name().find("blocks.") != std::string::npos; }

}  // namespace

void count_parameters(Architecture& architecture) {
  std::map<std::string, int64_t> modules;
  int64_t of_experts = 0;
  for (const auto& group : architecture.model->groups()) {
    for (const auto& parameter : group.parameters) {
      const int64_t count = parameter.count();
      if (count > kMostParameters - architecture.parameters) {
        fail(ErrorKind::configuration, "{} has more than {} parameters, with {} of {} elements: that is no model", architecture.name, kMostParameters, parameter.name, count);
      }
      architecture.parameters += count;
      if (is_of_expert(parameter.name)) of_experts += count;
      modules[parameter.name.substr(0, parameter.name.rfind('.'))] += count;
    }
  }
  const auto& blocks = architecture.blocks;
  architecture.active_parameters = architecture.parameters - of_experts / blocks.experts * (blocks.experts - blocks.experts_of_token);
  for (const auto& [name, count] : modules) {
    if (count <= architecture.largest_module_parameters) continue;
    architecture.largest_module = name;
    architecture.largest_module_parameters = count;
  }
  for (int u = 0; u < architecture.model->unit_count(); ++u) {
    const Unit& unit = architecture.model->unit(u);
    if (!is_block(unit)) continue;
    int64_t count = 0;
    for (const auto& parameter : unit.parameters()) count += parameter.count();
    architecture.block_parameters += count;
    architecture.largest_block = std::max(architecture.largest_block, count);
  }
}

}  // namespace zerorun
