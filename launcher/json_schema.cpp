#include "launcher/json_schema.h"

#include <nlohmann/json.hpp>

#include "launcher/settings_schema.h"

namespace zerorun {
namespace {

using Json = nlohmann::ordered_json;

// A value as the reader writes it: JSON already, but for words without quotes.
Json value_of(const std::string& yaml) {
  auto value = Json::parse(yaml, nullptr, /*allow_exceptions=*/false);
  return value.is_discarded() ? Json(yaml) : value;
}

Json schema_of(const Field& field) {
  auto schema = Json::parse(field.schema);
  schema["description"] = field.expected;
  const auto value = value_of(field.write(Settings()));
  if (!field.required && value != "") schema["default"] = value;
  return schema;
}

Json empty_section() { return {{"type", Json::array({"object", "null"})}, {"properties", Json::object()}, {"additionalProperties", false}}; }

// The section named "precision.fp16", inside of the one named "precision", inside of `schema`.
Json& section_of(Json& schema, const std::string& name) {
  const size_t dot = name.rfind('.');
  Json& around = dot == std::string::npos ? schema : section_of(schema, name.substr(0, dot));
  Json& section = around["properties"][dot == std::string::npos ? name : name.substr(dot + 1)];
  if (section.is_null()) section = empty_section();
  return section;
}

}  // namespace

std::string configuration_schema() {
  Json schema = {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                 {"title", "zerorun configuration"},
                 {"type", "object"},
                 {"properties", Json::object()},
                 {"required", Json::array()},
                 {"additionalProperties", false}};
  for (const Field& field : settings_schema()) {
    Json& section = section_of(schema, field.section);
    section["properties"][field.name] = schema_of(field);
    if (!field.required) continue;
    if (!section.contains("required")) schema["required"].push_back(field.section);
    section["type"] = "object";
    section["required"].push_back(field.name);
  }
  return schema.dump(2);
}

}  // namespace zerorun
