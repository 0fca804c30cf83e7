#include "launcher/yaml_document.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <sstream>

namespace zerorun {
namespace {

YamlPosition position_of(const YAML::Mark& mark) { return {mark.line + 1, mark.column + 1}; }

YamlNode node_of(YamlNode::Kind kind, const YAML::Mark& mark, std::string text = "", bool quoted = false) {
  YamlNode node;
  node.kind = kind;
  node.at = position_of(mark);
  node.text = std::move(text);
  node.quoted = quoted;
  return node;
}

// Without control characters, so that a message stays one line.
std::string one_line(std::string text) {
  std::replace_if(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, '?');
  return text;
}

struct TooDeep {
  YamlPosition at;
};

// Builds the tree. `open_` holds the collections that are not closed yet; a mapping among them may wait for a value.
class TreeBuilder : public YAML::EventHandler {
 public:
  explicit TreeBuilder(YamlDocument& document) : document_(document) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add(node_of(YamlNode::Kind::null, mark, "null"), anchor, "");
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    report(position_of(mark), "an alias (*name) is not allowed: write the value itself");
    add(node_of(YamlNode::Kind::invalid, mark), 0, "");
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, const std::string& value) override {
    add(node_of(YamlNode::Kind::scalar, mark, value, tag == "!"), anchor, tag);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    start(YamlNode::Kind::sequence, mark, anchor, tag);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    start(YamlNode::Kind::mapping, mark, anchor, tag);
  }
  void OnSequenceEnd() override { finish(); }
  void OnMapEnd() override { finish(); }

 private:
  struct Open {
    YamlNode node;
    YamlEntry entry;
    bool has_key = false;
  };

  void report(YamlPosition at, std::string text) { document_.problems.push_back({at, std::move(text)}); }

  void check_plain(const YamlNode& node, YAML::anchor_t anchor, const std::string& tag) {
    if (anchor != 0) report(node.at, "an anchor (&name) is not allowed");
    if (!tag.empty() && tag != "?" && tag != "!") report(node.at, fmt::format("a tag ({}) is not allowed", tag));
  }

  void start(YamlNode::Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor, const std::string& tag) {
    if (open_.size() >= kYamlDepth) throw TooDeep{position_of(mark)};
    open_.push_back({.node = node_of(kind, mark), .entry = {}});
    check_plain(open_.back().node, anchor, tag);
  }

  void finish() {
    YamlNode node = std::move(open_.back().node);
    open_.pop_back();
    place(std::move(node));
  }

  void add(YamlNode node, YAML::anchor_t anchor, const std::string& tag) {
    check_plain(node, anchor, tag);
    place(std::move(node));
  }

  void place(YamlNode node) {
    if (open_.empty()) {
      document_.root = std::move(node);
    } else if (open_.back().node.kind == YamlNode::Kind::sequence) {
      open_.back().node.items.push_back(std::move(node));
    } else if (!open_.back().has_key) {
      place_key(open_.back(), node);
    } else {
      place_value(open_.back(), std::move(node));
    }
  }

  void place_key(Open& mapping, const YamlNode& key) {
    const bool word = key.kind == YamlNode::Kind::scalar && !key.text.empty() && one_line(key.text) == key.text;
    if (!word && key.kind != YamlNode::Kind::invalid) report(key.at, "a key must be a word");
    mapping.entry = {.key = word ? key.text : "", .at = key.at, .value = {}};
    mapping.has_key = true;
  }

  void place_value(Open& mapping, YamlNode value) {
    mapping.has_key = false;
    auto& entries = mapping.node.entries;
    const auto same = [&](const YamlEntry& entry) { return entry.key == mapping.entry.key; };
    const auto first = std::find_if(entries.begin(), entries.end(), same);
    if (mapping.entry.key.empty()) return;
    if (first != entries.end()) {
      report(mapping.entry.at, fmt::format("duplicate key {}, first set in line {}", first->key, first->at.line));
      return;
    }
    mapping.entry.value = std::move(value);
    entries.push_back(std::move(mapping.entry));
  }

  YamlDocument& document_;
  std::vector<Open> open_;
};

struct Ignore : YAML::EventHandler {
  void OnDocumentStart(const YAML::Mark& mark) override { start = mark; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
  YAML::Mark start;
};

void stop(YamlDocument& document, YamlPosition at, std::string text) {
  document.problems.push_back({at, std::move(text)});
  document.complete = false;
}

}  // namespace

std::string describe(const YamlNode& node) {
  constexpr size_t kShown = 60;
  const auto shortened = [](const std::string& text) { return text.size() > kShown ? text.substr(0, kShown) + "..." : text; };
  switch (node.kind) {
    case YamlNode::Kind::null: return "null";
    case YamlNode::Kind::mapping: return "a mapping";
    case YamlNode::Kind::sequence: {
      std::string items;
      for (const YamlNode& item : node.items) items += (items.empty() ? "" : ", ") + describe(item);
      return shortened("[" + items + "]");
    }
    default: {
      const std::string text = shortened(one_line(node.text));
      return node.quoted || text.empty() ? fmt::format("the text \"{}\"", text) : text;
    }
  }
}

// `line` counts from 0.
bool is_indented_by_a_tab(std::string_view text, int line) {
  std::istringstream lines{std::string(text)};
  std::string found;
  for (int l = 0; l <= line && std::getline(lines, found); ++l) {
  }
  const size_t first = found.find_first_not_of(' ');
  return first != std::string::npos && found[first] == '\t';
}

YamlDocument parse_yaml(std::string_view text) {
  YamlDocument document;
  std::istringstream stream{std::string(text)};
  try {
    YAML::Parser parser(stream);
    TreeBuilder builder(document);
    parser.HandleNextDocument(builder);
    Ignore second;
    if (parser.HandleNextDocument(second)) stop(document, position_of(second.start), "a second document is not allowed");
  } catch (const TooDeep& error) {
    stop(document, error.at, fmt::format("nested deeper than {} levels", kYamlDepth));
  } catch (const YAML::Exception& error) {
    stop(document, position_of(error.mark), fmt::format("not YAML: {}{}", error.msg, is_indented_by_a_tab(text, error.mark.line) ? "; the line begins with a tab, indent with spaces" : ""));
  }
  return document;
}

}  // namespace zerorun
