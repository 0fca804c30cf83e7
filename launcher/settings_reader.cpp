// From a file and overrides to settings, with every error found on the way.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <set>
#include <tuple>

#include "core/error.h"
#include "launcher/nearest_name.h"
#include "launcher/settings.h"
#include "launcher/settings_schema.h"
#include "launcher/yaml_document.h"

namespace zerorun {
namespace {

constexpr size_t kMostBytes = 1 << 20;
constexpr YamlPosition kNowhere{INT32_MAX, 0};

std::string read_text(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (error) fail(ErrorKind::missing_input, "cannot read the configuration {}: {}", path, error.message());
  if (std::filesystem::is_directory(status)) {
    fail(ErrorKind::missing_input, "cannot read the configuration {}: it is a folder, expected a YAML file", path);
  }
  if (std::filesystem::is_fifo(status) && !path.starts_with("/dev/")) {  // opening one waits for whoever writes to it
    fail(ErrorKind::missing_input, "cannot read the configuration {}: it is a named pipe, expected a YAML file", path);
  }
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string text(kMostBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file.is_open() || file.bad()) {
    fail(ErrorKind::missing_input, "cannot read the configuration {}: {}", path, system_message(errno));
  }
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > kMostBytes) fail(ErrorKind::configuration, "{} is larger than 1 MiB: it is no configuration", path);
  return text;
}

std::vector<std::string> section_names() {
  std::vector<std::string> names;
  for (const Field& field : settings_schema()) {
    if (std::find(names.begin(), names.end(), field.section) == names.end()) names.push_back(field.section);
  }
  return names;
}

std::vector<std::string> names_in(const std::string& section) {
  std::vector<std::string> names;
  for (const Field& field : settings_schema()) {
    if (field.section == section) names.push_back(field.name);
  }
  return names;
}

// Where the same name stands in another section, or else the nearest of `names`.
std::string suggestion(const std::string& name, const std::vector<std::string>& names) {
  for (const Field& field : settings_schema()) {
    if (field.name == name) return fmt::format(" (did you mean {}?)", field.key());
  }
  return did_you_mean(name, names);
}

class Reader {
 public:
  explicit Reader(std::string source) : source_(std::move(source)) {
    std::replace_if(source_.begin(), source_.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, '?');
  }

  void read_document(const std::string& text);
  void read_override(const Override& override);
  Settings settle();

 private:
  struct Located {
    YamlNode node;
    std::string origin;
    YamlPosition at;
  };

  std::string at(YamlPosition position) const { return fmt::format("{}:{}:{}", source_, position.line, position.column); }
  void report(YamlPosition position, std::string text) { problems_.emplace_back(position, std::move(text)); }
  void read_section(const YamlEntry& section);
  void read_field(Settings& settings, const Field& field);
  void contradictions(Settings& settings);
  [[noreturn]] void fail_with_problems();

  std::string source_;
  std::map<std::string, Located> values_;
  std::set<std::string> broken_;  // sections and keys with a problem: what follows from them is not reported
  std::vector<std::pair<YamlPosition, std::string>> problems_;
};

void Reader::read_document(const std::string& text) {
  const YamlDocument document = parse_yaml(text);
  for (const YamlProblem& problem : document.problems) report(problem.at, fmt::format("{}: {}", at(problem.at), problem.text));
  if (!document.complete) fail_with_problems();
  if (document.root.kind != YamlNode::Kind::mapping) {
    const bool empty = document.root.kind == YamlNode::Kind::null;
    report(document.root.at, fmt::format("{} {}, expected a mapping of {}", source_,
                                         empty ? "is empty" : "holds " + describe(document.root),
                                         fmt::join(section_names(), ", ")));
    fail_with_problems();
  }
  for (const YamlEntry& section : document.root.entries) read_section(section);
}

void Reader::read_section(const YamlEntry& section) {
  const std::vector<std::string> names = names_in(section.key);
  if (names.empty()) {
    report(section.at, fmt::format("{}: unknown key {}{}", at(section.at), section.key, suggestion(section.key, section_names())));
    return;
  }
  if (section.value.kind == YamlNode::Kind::null) return;
  if (section.value.kind != YamlNode::Kind::mapping) {
    broken_.insert(section.key);
    if (section.value.kind == YamlNode::Kind::invalid) return;
    report(section.value.at, fmt::format("{}: {} is {}, expected a mapping of {}", at(section.value.at), section.key,
                                         describe(section.value), fmt::join(names, ", ")));
    return;
  }
  for (const YamlEntry& entry : section.value.entries) {
    const std::string key = section.key + "." + entry.key;
    if (std::find(names.begin(), names.end(), entry.key) == names.end()) {
      report(entry.at, fmt::format("{}: unknown key {}{}", at(entry.at), key, suggestion(entry.key, names)));
    } else {
      const YamlPosition position = entry.value.kind == YamlNode::Kind::null ? entry.at : entry.value.at;
      values_[key] = {entry.value, at(position), position};
    }
  }
}

void Reader::read_override(const Override& override) {
  const std::string where = fmt::format("--set {}", override.key);
  const size_t dot = override.key.find('.');
  const std::string section = override.key.substr(0, dot);
  const std::string name = dot == std::string::npos ? "" : override.key.substr(dot + 1);
  const std::vector<std::string> names = names_in(section);
  if (names.empty()) {
    report(kNowhere, fmt::format("{}: unknown key {}{}", where, override.key, suggestion(section, section_names())));
  } else if (dot == std::string::npos) {
    report(kNowhere, fmt::format("{}: {} is a section, expected one of its keys, such as {}.{}", where, section, section, names[0]));
  } else if (std::find(names.begin(), names.end(), name) == names.end()) {
    report(kNowhere, fmt::format("{}: unknown key {}{}", where, override.key, suggestion(name, names)));
  } else {
    YamlDocument document = parse_yaml(override.value);
    if (!document.problems.empty()) {
      report(kNowhere, fmt::format("{}: {}", where, document.problems.front().text));
      document.root.kind = YamlNode::Kind::invalid;
    }
    if (document.root.kind == YamlNode::Kind::null) document.root.text = "null";
    values_[override.key] = {document.root, where, kNowhere};
  }
}

void Reader::read_field(Settings& settings, const Field& field) {
  const std::string key = field.key();
  settings.origins[key] = "default";
  const auto found = values_.find(key);
  if (found == values_.end()) {
    if (!field.required) return;
    if (broken_.contains(field.section)) return;
    broken_.insert(key);
    report(kNowhere, fmt::format("{}: missing key {}, expected {}", source_, key, field.expected));
    return;
  }
  const auto& [node, origin, position] = found->second;
  settings.origins[key] = origin;
  if (node.kind != YamlNode::Kind::invalid && field.read(settings, node)) return;
  broken_.insert(key);
  if (node.kind == YamlNode::Kind::invalid) return;
  report(position, fmt::format("{}: {} is {}, expected {}{}", origin, key, describe(node), field.expected, field.hint(node)));
}

void Reader::contradictions(Settings& settings) {
  const auto is_broken = [&](const std::string& key) {
    return broken_.contains(key) || broken_.contains(key.substr(0, key.find('.')));
  };
  for (const Contradiction& found : validate(settings)) {
    if (std::any_of(found.keys.begin(), found.keys.end(), is_broken)) continue;
    const auto given = std::find_if(found.keys.begin(), found.keys.end(), [&](const auto& key) { return values_.contains(key); });
    if (given == found.keys.end()) {
      report(kNowhere, fmt::format("{}: {}", source_, found.message));
    } else {
      report(values_[*given].at, fmt::format("{}: {}", values_[*given].origin, found.message));
    }
  }
}

void Reader::fail_with_problems() {
  const auto earlier = [](const auto& a, const auto& b) {
    return std::tie(a.first.line, a.first.column) < std::tie(b.first.line, b.first.column);
  };
  std::stable_sort(problems_.begin(), problems_.end(), earlier);
  std::vector<std::string> lines;
  for (const auto& problem : problems_) lines.push_back(problem.second);
  throw Error(ErrorKind::configuration, fmt::format("{}", fmt::join(lines, "\n")));
}

Settings Reader::settle() {
  Settings settings;
  for (const Field& field : settings_schema()) read_field(settings, field);
  if (settings.run.name.empty()) settings.run.name = std::filesystem::path(source_).stem().string();
  if (settings.run.dir.empty()) settings.run.dir = "runs/" + settings.run.name;
  contradictions(settings);
  if (!problems_.empty()) fail_with_problems();
  return settings;
}

}  // namespace

Settings read_settings(const std::string& path, const std::vector<Override>& overrides) {
  Reader reader(path);
  reader.read_document(read_text(path));
  for (const Override& override : overrides) reader.read_override(override);
  return reader.settle();
}

}  // namespace zerorun
