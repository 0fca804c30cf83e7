#include "launcher/settings_values.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <string_view>

namespace zerorun {
namespace {

bool is_plain(const YamlNode& node) { return node.kind == YamlNode::Kind::scalar && !node.quoted; }

// Decimal without leading zeros: YAML 1.1 reads 010 as eight, YAML 1.2 as ten.
std::optional<int64_t> parse_integer(std::string_view text) {
  if (text.starts_with("+")) text.remove_prefix(1);
  const std::string_view digits = text.starts_with("-") ? text.substr(1) : text;
  if (digits.size() > 1 && digits.front() == '0') return std::nullopt;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Finite only.
std::optional<double> parse_real(std::string_view text) {
  if (text.starts_with("+")) text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

struct Unit {
  std::string_view suffix;
  int64_t factor;
};

constexpr Unit kSizes[] = {{"KiB", int64_t{1} << 10}, {"MiB", int64_t{1} << 20}, {"GiB", int64_t{1} << 30},
                           {"TiB", int64_t{1} << 40}, {"PiB", int64_t{1} << 50}, {"B", 1}};
constexpr Unit kTimes[] = {{"s", 1}, {"m", 60}, {"h", 3600}};

// A number with one of the units, as a whole number of the smallest.
template <size_t N>
std::optional<int64_t> parse_measure(std::string_view text, const Unit (&units)[N]) {
  int64_t factor = 1;
  for (const Unit& unit : units) {
    if (!text.ends_with(unit.suffix)) continue;
    factor = unit.factor;
    text.remove_suffix(unit.suffix.size());
    break;
  }
  if (text.ends_with(" ")) text.remove_suffix(1);
  const std::optional<double> number = parse_real(text);
  constexpr double kExact = 9007199254740992.0;  // 2^53: every whole number below is exact in a double
  if (!number || std::fabs(*number * factor) > kExact || std::floor(*number * factor) != *number * factor) return std::nullopt;
  return static_cast<int64_t>(*number * factor);
}

template <typename Limits>
std::optional<int64_t> within(const Limits& limits, std::optional<int64_t> value) {
  if (!value || *value < limits.least || *value > limits.most) return std::nullopt;
  return value;
}

bool has_control_characters(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

bool reads_back_plain(const std::string& text) {
  constexpr std::string_view kHarmless = "_/.-+";
  const auto harmless = [&](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || kHarmless.find(c) != std::string_view::npos;
  };
  const bool null = text == "null" || text == "Null" || text == "NULL";
  return !text.empty() && !null && text.front() != '-' && std::all_of(text.begin(), text.end(), harmless);
}

// Also what is none for YAML but was meant as one: .nan, -.inf, 1e999.
bool looks_like_number(const std::string& text) {
  constexpr std::string_view kLetters = "0123456789.+-eEinfaNIFA";
  const bool spelt = text.find_first_not_of(kLetters) == std::string::npos;
  const bool starts = text.find_first_of("0123456789") < 3 || text == ".nan" || text == ".inf" || text == "-.inf" || text == "nan" || text == "inf";
  return spelt && starts;
}

// Whole numbers within the limits, or a text with a unit, whose value only the reader checks.
template <typename Limits>
std::string schema_of_measure(const Limits& limits, const char* units) {
  return fmt::format(R"({{"anyOf": [{}, {{"type": "string", "pattern": "^[+]?[0-9]+([.][0-9]+)? ?({})$"}}]}})",
                     Integer(limits.least, limits.most).schema(), units);
}

std::string in_quotes(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

}  // namespace

std::string write_text(const std::string& text) { return reads_back_plain(text) ? text : in_quotes(text); }

std::optional<int64_t> Integer::parse(const YamlNode& node) const {
  return is_plain(node) ? within(*this, parse_integer(node.text)) : std::nullopt;
}

std::optional<int64_t> Seconds::parse(const YamlNode& node) const {
  return is_plain(node) ? within(*this, parse_measure(node.text, kTimes)) : std::nullopt;
}

std::string Seconds::schema() const { return schema_of_measure(*this, "s|m|h"); }

std::string Size::schema() const { return schema_of_measure(*this, "B|KiB|MiB|GiB|TiB|PiB"); }

std::optional<int64_t> Size::parse(const YamlNode& node) const {
  return is_plain(node) ? read(node.text) : std::nullopt;
}

std::optional<int64_t> Size::read(std::string_view text) const { return within(*this, parse_measure(text, kSizes)); }

std::string Size::write(int64_t value) const {
  const Unit* largest = nullptr;
  for (const Unit& unit : kSizes) {
    const bool exact = value != 0 && value % unit.factor == 0 && unit.factor > 1;
    if (exact && (largest == nullptr || unit.factor > largest->factor)) largest = &unit;
  }
  return largest == nullptr ? fmt::format("{}", value) : fmt::format("{}{}", value / largest->factor, largest->suffix);
}

std::optional<double> Real::parse(const YamlNode& node) const {
  const std::optional<double> value = is_plain(node) ? parse_real(node.text) : std::nullopt;
  if (!value || *value < least || *value > most) return std::nullopt;
  if ((above && *value == least) || (below && *value == most)) return std::nullopt;
  return value;
}

std::string Real::expected() const {
  const char* upper = below ? "and below" : above ? "and up to" : "to";
  return fmt::format("a finite number {} {} {} {}", above ? "above" : "from", least, upper, most);
}

std::string Real::schema() const {
  return fmt::format(R"({{"type": "number", "{}": {}, "{}": {}}})", above ? "exclusiveMinimum" : "minimum", least,
                     below ? "exclusiveMaximum" : "maximum", most);
}

std::optional<std::array<double, 2>> RealPair::parse(const YamlNode& node) const {
  if (node.kind != YamlNode::Kind::sequence || node.items.size() != 2) return std::nullopt;
  const auto first = each.parse(node.items[0]);
  const auto second = each.parse(node.items[1]);
  if (!first || !second) return std::nullopt;
  return std::array<double, 2>{*first, *second};
}

std::optional<bool> Flag::parse(const YamlNode& node) const {
  if (!is_plain(node) || (node.text != "true" && node.text != "false")) return std::nullopt;
  return node.text == "true";
}

std::optional<std::string> Text::parse(const YamlNode& node) const {
  if (node.kind != YamlNode::Kind::scalar || node.text.empty() || has_control_characters(node.text)) return std::nullopt;
  return node.text;
}

std::optional<std::string> FolderName::parse(const YamlNode& node) const {
  const std::optional<std::string> name = Text().parse(node);
  if (!name || name->find('/') != std::string::npos || *name == "." || *name == "..") return std::nullopt;
  return name;
}

std::optional<std::vector<std::string>> TextList::parse(const YamlNode& node) const {
  if (node.kind == YamlNode::Kind::sequence && node.items.empty() && !may_be_empty) return std::nullopt;
  std::vector<std::string> texts;
  for (const YamlNode& item : node.kind == YamlNode::Kind::sequence ? node.items : std::vector{node}) {
    const std::optional<std::string> text = Text().parse(item);
    if (!text) return std::nullopt;
    texts.push_back(*text);
  }
  return texts;
}

std::string TextList::write(const std::vector<std::string>& value) const {
  std::string text;
  for (const std::string& each : value) text += (text.empty() ? "" : ", ") + write_text(each);
  return "[" + text + "]";
}

std::optional<Split::Value> Split::parse(const YamlNode& node) const {
  if (node.kind == YamlNode::Kind::null) return Value();
  if (is_plain(node) && looks_like_number(node.text)) {
    const std::optional<double> fraction = Real(0, 1, true, true).parse(node);
    return fraction ? std::optional<Value>(*fraction) : std::nullopt;
  }
  const std::optional<std::string> path = Text().parse(node);
  return path ? std::optional<Value>(*path) : std::nullopt;
}

std::string Split::schema() const {
  return fmt::format(R"({{"anyOf": [{{"type": "null"}}, {}, {{"type": "string", "minLength": 1}}]}})", Real(0, 1, true, true).schema());
}

std::string Split::write(const Value& value) const {
  if (const double* fraction = std::get_if<double>(&value)) return fmt::format("{}", *fraction);
  const std::string* path = std::get_if<std::string>(&value);
  if (path == nullptr) return "null";
  return looks_like_number(*path) ? in_quotes(*path) : write_text(*path);
}

}  // namespace zerorun
