// From a file and overrides to settings, with every error found on the way.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <set>
#include <tuple>

#include "core/error.h"
#include "core/nearest_name.h"
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

// The keys and sections directly inside of `section`; those of the top where it is empty.
std::vector<std::string> names_in(const std::string& section) {
  const std::string prefix = section.empty() ? "" : section + ".";
  std::vector<std::string> names;
  for (const Field& field : settings_schema()) {
    const std::string key = field.key();
    if (!key.starts_with(prefix)) continue;
    const std::string name = key.substr(prefix.size(), key.find('.', prefix.size()) - prefix.size());
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return names;
}

bool is_section(const std::string& key) { return !key.empty() && !names_in(key).empty(); }

// The section that a key stands in; empty at the top.
std::string section_of(const std::string& key) {
  const size_t dot = key.rfind('.');
  return dot == std::string::npos ? "" : key.substr(0, dot);
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
  void read_entries(const YamlNode& mapping, const std::string& section);
  void read_section(const YamlEntry& entry, const std::string& section);
  bool is_broken(std::string key) const;
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
                                         fmt::join(names_in(""), ", ")));
    fail_with_problems();
  }
  read_entries(document.root, "");
}

void Reader::read_entries(const YamlNode& mapping, const std::string& section) {
  const std::vector<std::string> names = names_in(section);
  for (const YamlEntry& entry : mapping.entries) {
    const std::string key = section.empty() ? entry.key : section + "." + entry.key;
    if (std::find(names.begin(), names.end(), entry.key) == names.end()) {
      report(entry.at, fmt::format("{}: unknown key {}{}", at(entry.at), key, suggestion(entry.key, names)));
    } else if (is_section(key)) {
      read_section(entry, key);
    } else {
      const YamlPosition position = entry.value.kind == YamlNode::Kind::null ? entry.at : entry.value.at;
      values_[key] = {entry.value, at(position), position};
    }
  }
}

void Reader::read_section(const YamlEntry& entry, const std::string& section) {
  if (entry.value.kind == YamlNode::Kind::null) return;
  if (entry.value.kind == YamlNode::Kind::mapping) return read_entries(entry.value, section);
  broken_.insert(section);
  if (entry.value.kind == YamlNode::Kind::invalid) return;
  report(entry.value.at, fmt::format("{}: {} is {}, expected a mapping of {}", at(entry.value.at), section, describe(entry.value),
                                     fmt::join(names_in(section), ", ")));
}

void Reader::read_override(const Override& override) {
  const std::string where = fmt::format("--set {}", override.key);
  const std::string section = section_of(override.key);
  const std::vector<std::string> names = names_in(section);
  if (is_section(override.key)) {
    report(kNowhere, fmt::format("{}: {} is a section, expected one of its keys, such as {}.{}", where, override.key, override.key,
                                 names_in(override.key)[0]));
  } else if (names.empty()) {
    report(kNowhere, fmt::format("{}: unknown key {}{}", where, override.key, suggestion(section, names_in(""))));
  } else if (std::find(names.begin(), names.end(), override.key.substr(section.empty() ? 0 : section.size() + 1)) == names.end()) {
    report(kNowhere, fmt::format("{}: unknown key {}{}", where, override.key, suggestion(override.key.substr(override.key.rfind('.') + 1), names)));
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

// A problem was reported for it, or for a section around it.
bool Reader::is_broken(std::string key) const {
  for (; !key.empty(); key = section_of(key)) {
    if (broken_.contains(key)) return true;
  }
  return false;
}

void Reader::read_field(Settings& settings, const Field& field) {
  const std::string key = field.key();
  settings.origins[key] = "default";
  const auto found = values_.find(key);
  if (found == values_.end()) {
    if (!field.required) return;
    if (is_broken(field.section)) return;
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
  for (const Contradiction& found : validate(settings)) {
    if (std::any_of(found.keys.begin(), found.keys.end(), [&](const auto& key) { return is_broken(key); })) continue;
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
