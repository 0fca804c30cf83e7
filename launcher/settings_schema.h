// The one declaration of the configuration's keys: reader, resolved YAML, JSON Schema and suggestions all come from it.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "launcher/settings.h"
#include "launcher/yaml_document.h"

namespace zerorun {

struct Field {
  std::string section;  // training, or precision.fp16: a section inside of one
  std::string name;     // steps
  bool required;
  std::string expected;
  std::string schema;  // JSON Schema of its values, as JSON
  // False when the node is no such value; the member is then as it was.
  std::function<bool(Settings&, const YamlNode&)> read;
  std::function<std::string(const Settings&)> write;
  std::function<std::string(const YamlNode&)> hint;

  std::string key() const { return section + "." + name; }
};

// In the order in which they are written: a section inside of another follows its keys.
const std::vector<Field>& settings_schema();

}  // namespace zerorun
