#include "launcher/page/markup.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "launcher/report.h"

namespace zerorun::page {
namespace {

constexpr std::string_view kSpace = "\u202f", kReplacement = "\ufffd";

// Bytes of the UTF-8 character at the front of `text`; 0 where there is none (RFC 3629: no overlong forms, no surrogates).
size_t character_bytes(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const auto follows = [&](size_t i) { return byte(i) >> 6 == 2; };
  const unsigned first = byte(0), second = byte(1);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first < 0xE0) return follows(1) ? 2 : 0;
  if (first >= 0xE0 && first < 0xF0) {
    const bool sound = follows(1) && !(first == 0xE0 && second < 0xA0) && !(first == 0xED && second >= 0xA0);
    return sound && follows(2) ? 3 : 0;
  }
  if (first >= 0xF0 && first < 0xF5) {
    const bool sound = follows(1) && !(first == 0xF0 && second < 0x90) && !(first == 0xF4 && second >= 0x90);
    return sound && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

std::string_view entity_of(char c) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '"':
      return "&quot;";
    case '\'':
      return "&#39;";
    default:
      return "";
  }
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string html;
  while (!text.empty()) {
    const size_t bytes = character_bytes(text);
    const bool control = bytes == 1 && (static_cast<unsigned char>(text[0]) < 0x20 || text[0] == 0x7f) && text[0] != '\n' && text[0] != '\t';
    const auto entity = entity_of(text[0]);
    html += bytes == 0 || control ? kReplacement : entity.empty() ? text.substr(0, bytes) : entity;
    text.remove_prefix(bytes == 0 ? 1 : bytes);
  }
  return html;
}

std::string grouped(int64_t value) {
  std::string digits = fmt::format("{}", value);
  const size_t sign = value < 0 ? 1 : 0;
  for (size_t end = digits.size(); end > sign + 3; end -= 3) digits.insert(end - 3, kSpace);
  if (sign) digits.replace(0, 1, "\u2212");
  return digits;
}

std::string rounded(double value) {
  if (!std::isfinite(value)) return "no number";
  if (std::fabs(value) >= 1000 && std::fabs(value) < 1e15) return grouped(std::llround(value));
  return fmt::format("{:.4g}", value);
}

std::string seconds(double value) {
  if (!std::isfinite(value)) return "no number";
  if (value < 1e-3) return fmt::format("{:.3g}\u202fµs", value * 1e6);
  if (value < 1) return fmt::format("{:.3g}\u202fms", value * 1e3);
  if (value < 120) return fmt::format("{:.3g}\u202fs", value);
  if (value < 7200) return fmt::format("{:.3g}\u202fmin", value / 60);
  return fmt::format("{:.3g}\u202fh", value / 3600);
}

std::string readable(int64_t bytes) {
  std::string text = readable_bytes(bytes);
  text.replace(text.find(' '), 1, kSpace);
  return text;
}

std::string data(int64_t value, const std::string& shown) { return fmt::format("<data value=\"{}\">{}</data>", value, shown); }

std::string data(double value, const std::string& shown) {
  return fmt::format("<data value=\"{}\">{}</data>", std::isfinite(value) ? fmt::format("{}", value) : "null", shown);
}

std::string exact_bytes(int64_t bytes) { return data(bytes, grouped(bytes)); }

std::string table(std::string_view label, const std::string& head, const std::string& rows, std::string_view style) {
  return fmt::format("<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{}\"><table{}>{}<tbody>\n{}</tbody></table></div>\n", escaped(label),
                     style.empty() ? "" : fmt::format(" class=\"{}\"", style), head.empty() ? "" : fmt::format("<thead>{}</thead>", head), rows);
}

std::string counted(int64_t count, std::string_view what) { return fmt::format("{} {}{}", grouped(count), what, count == 1 ? "" : "s"); }

}  // namespace zerorun::page
