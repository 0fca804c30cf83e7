// A YAML document as a tree in which every key and value knows its line and column. Made for configuration: one
// document whose top is a mapping; duplicate keys, anchors, aliases, tags, keys that are not words and nesting deeper than
// kYamlDepth are problems, never silently resolved.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace zerorun {

inline constexpr int kYamlDepth = 16;

// Counted from 1.
struct YamlPosition {
  int line = 1;
  int column = 1;
};

struct YamlEntry;

struct YamlNode {
  enum class Kind { null, scalar, sequence, mapping, invalid };  // invalid: a problem was reported for it

  Kind kind = Kind::null;
  YamlPosition at;
  std::string text;      // of a scalar
  bool quoted = false;   // of a scalar: "5" is text, 5 a number
  std::vector<YamlNode> items;
  std::vector<YamlEntry> entries;  // in the order of the document
};

struct YamlEntry {
  std::string key;
  YamlPosition at;
  YamlNode value;
};

struct YamlProblem {
  YamlPosition at;
  std::string text;
};

struct YamlDocument {
  YamlNode root;  // null when the text holds no document
  std::vector<YamlProblem> problems;
  bool complete = true;  // false: reading stopped at the last problem, and the root is not usable
};

// Reports in `problems`; throws nothing of its own.
YamlDocument parse_yaml(std::string_view text);

// What stands there, for a message: -5, the text "5", null, [1, 2], a mapping.
std::string describe(const YamlNode& node);

}  // namespace zerorun
