// The kinds of values that a key can have. A kind knows how its value reads from YAML, how it is written so that it reads
// back equal, and how to tell the user what it expects:
//   std::optional<T> parse(const YamlNode&) const   none when the node is not such a value, or out of range
//   std::string write(const T&) const               YAML on one line
//   std::string expected() const                    "an integer from 1 to 8"
//   std::string hint(const YamlNode&) const         " (did you mean ...?)" or ""
//   std::string schema() const                      JSON Schema of the values that parse takes, as JSON
#pragma once
#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/nearest_name.h"
#include "launcher/yaml_document.h"

namespace zerorun {

// As YAML: plain where that reads back as the same text, else in double quotes.
std::string write_text(const std::string& text);

struct NoHint {
  std::string hint(const YamlNode&) const { return ""; }
};

struct Integer : NoHint {
  int64_t least, most;
  Integer(int64_t least, int64_t most) : least(least), most(most) {}
  std::optional<int64_t> parse(const YamlNode& node) const;
  std::string write(int64_t value) const { return fmt::format("{}", value); }
  std::string expected() const { return fmt::format("an integer from {} to {}", least, most); }
  std::string schema() const { return fmt::format(R"({{"type": "integer", "minimum": {}, "maximum": {}}})", least, most); }
};

// 90, 90s, 10m, 2h; in seconds.
struct Seconds : NoHint {
  int64_t least, most;
  Seconds(int64_t least, int64_t most) : least(least), most(most) {}
  std::optional<int64_t> parse(const YamlNode& node) const;
  std::string write(int64_t value) const { return fmt::format("{}", value); }
  std::string expected() const { return fmt::format("seconds from {} to {}, such as 90, 90s or 10m", least, most); }
  std::string schema() const;
};

// 64MiB, 1.5GiB or plain bytes.
struct Size : NoHint {
  int64_t least, most;
  Size(int64_t least, int64_t most) : least(least), most(most) {}
  std::optional<int64_t> parse(const YamlNode& node) const;
  std::optional<int64_t> read(std::string_view text) const;
  std::string write(int64_t value) const;
  std::string expected() const { return fmt::format("a size from {} to {}, such as 64MiB or 6GiB", write(least), write(most)); }
  std::string schema() const;
};

// Finite, in [least, most]; `above` excludes least, `below` excludes most.
struct Real : NoHint {
  double least, most;
  bool above, below;
  Real(double least, double most, bool above = false, bool below = false)
      : least(least), most(most), above(above), below(below) {}
  std::optional<double> parse(const YamlNode& node) const;
  std::string write(double value) const { return fmt::format("{}", value); }
  std::string expected() const;
  std::string schema() const;
};

struct RealPair : NoHint {
  Real each;
  explicit RealPair(Real each) : each(each) {}
  std::optional<std::array<double, 2>> parse(const YamlNode& node) const;
  std::string write(const std::array<double, 2>& value) const { return fmt::format("[{}, {}]", value[0], value[1]); }
  std::string expected() const { return fmt::format("a list of two values, each {}", each.expected()); }
  std::string schema() const {
    return fmt::format(R"({{"type": "array", "items": {}, "minItems": 2, "maxItems": 2}})", each.schema());
  }
};

struct Flag : NoHint {
  std::optional<bool> parse(const YamlNode& node) const;
  std::string write(bool value) const { return value ? "true" : "false"; }
  std::string expected() const { return "true or false"; }
  std::string schema() const { return R"({"type": "boolean"})"; }
};

struct Text : NoHint {
  std::optional<std::string> parse(const YamlNode& node) const;
  std::string write(const std::string& value) const { return write_text(value); }
  std::string expected() const { return "a text that is not empty, on one line"; }
  // A word that YAML reads as a number or as true is a text here.
  std::string schema() const { return R"({"type": ["string", "number", "boolean"], "minLength": 1, "pattern": "^[^\\x00-\\x1f\\x7f]*$"})"; }
};

// A name that can be that of a folder.
struct FolderName : NoHint {
  std::optional<std::string> parse(const YamlNode& node) const;
  std::string write(const std::string& value) const { return write_text(value); }
  std::string expected() const { return "a name without /, on one line"; }
  std::string schema() const { return fmt::format(R"({{"allOf": [{}, {{"pattern": "^[^/]*$", "not": {{"enum": [".", ".."]}}}}]}})", Text().schema()); }
};

// One text, or a list of them.
struct TextList : NoHint {
  std::string what;
  bool may_be_empty;
  explicit TextList(std::string what, bool may_be_empty = false) : what(std::move(what)), may_be_empty(may_be_empty) {}
  std::optional<std::vector<std::string>> parse(const YamlNode& node) const;
  std::string write(const std::vector<std::string>& value) const;
  std::string expected() const { return what; }
  std::string schema() const { return fmt::format(R"({{"anyOf": [{0}, {{"type": "array", "items": {0}, "minItems": {1}}}]}})", Text().schema(), may_be_empty ? 0 : 1); }
};

// A path or a fraction. A path that looks like a number is written in quotes.
struct Split : NoHint {
  using Value = std::variant<std::monostate, double, std::string>;
  std::optional<Value> parse(const YamlNode& node) const;
  std::string write(const Value& value) const;
  std::string expected() const { return "a path, a fraction between 0 and 1, or null"; }
  std::string schema() const;
};

// `names` in the order of the enumeration, whose values count from 0.
template <typename Enum>
struct Choice {
  std::vector<std::string> names;

  std::optional<Enum> parse(const YamlNode& node) const {
    return node.kind == YamlNode::Kind::scalar ? read(node.text) : std::nullopt;
  }
  std::optional<Enum> read(std::string_view text) const {
    for (size_t i = 0; i < names.size(); ++i) {
      if (names[i] == text) return static_cast<Enum>(i);
    }
    return std::nullopt;
  }
  std::string write(Enum value) const { return names.at(static_cast<size_t>(value)); }
  std::string expected() const {
    std::string text = names.front();
    for (size_t i = 1; i < names.size(); ++i) text += (i + 1 < names.size() ? ", " : " or ") + names[i];
    return text;
  }
  std::string schema() const { return fmt::format(R"({{"enum": ["{}"]}})", fmt::join(names, R"(", ")")); }
  std::string hint(const YamlNode& node) const {
    return node.kind == YamlNode::Kind::scalar ? did_you_mean(node.text, names) : "";
  }
};

// A value or a word (null, auto) that stands for none.
template <typename Kind>
struct Maybe {
  std::string word;
  Kind kind;

  template <typename T = typename decltype(std::declval<Kind>().parse({}))::value_type>
  std::optional<std::optional<T>> parse(const YamlNode& node) const {
    const bool plain = node.kind == YamlNode::Kind::null || (node.kind == YamlNode::Kind::scalar && !node.quoted);
    if (plain && node.text == word) return std::optional<T>();
    std::optional<T> value = kind.parse(node);
    if (!value) return std::nullopt;
    return value;
  }
  template <typename T>
  std::string write(const std::optional<T>& value) const {
    return value ? kind.write(*value) : word;
  }
  std::string expected() const { return fmt::format("{}, or {}", kind.expected(), word); }
  std::string schema() const {
    const bool null = word == "null";
    return fmt::format(R"({{"anyOf": [{}, {{"const": {}{}{}}}]}})", kind.schema(), null ? "" : "\"", word, null ? "" : "\"");
  }
  std::string hint(const YamlNode& node) const { return kind.hint(node); }
};
template <typename Kind>
Maybe(const char*, Kind) -> Maybe<Kind>;

}  // namespace zerorun
