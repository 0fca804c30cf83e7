#include "launcher/json_value.h"

#include <cmath>
#include <limits>

#include "core/error.h"

namespace zerorun {
namespace {

constexpr size_t kShown = 40;  // characters of a value in a message

// What holds other values is not written: it may be deep.
std::string shown(const nlohmann::json& json) {
  if (json.is_array()) return fmt::format("an array of {}", json.size());
  if (json.is_object()) return "an object";
  std::string text = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return text.size() <= kShown ? text : text.substr(0, kShown) + "...";
}

}  // namespace

nlohmann::json JsonValue::parse(std::string_view text, const std::string& place) {
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    fail(ErrorKind::bad_data, "{} is damaged: it is no JSON from byte {} of {} on, expected what a run of zerorun writes", place, error.byte, text.size());
  }
}

void JsonValue::refuse(const std::string& expected) const {
  fail(ErrorKind::bad_data, "{} is damaged: {} is {}, expected {}", place_, path_.empty() ? "its value" : path_, shown(*json_), expected);
}

std::optional<JsonValue> JsonValue::find(const char* key) const {
  if (!json_->is_object()) refuse("an object");
  const auto found = json_->find(key);
  if (found == json_->end()) return std::nullopt;
  return JsonValue(*found, place_, path_.empty() ? key : path_ + "." + key);
}

JsonValue JsonValue::operator[](const char* key) const {
  if (auto found = find(key)) return *std::move(found);
  fail(ErrorKind::bad_data, "{} is damaged: {}{}{} is missing", place_, path_, path_.empty() ? "" : ".", key);
}

JsonValue JsonValue::operator[](size_t index) const { return JsonValue(json_->at(index), place_, fmt::format("{}[{}]", path_, index)); }

size_t JsonValue::size() const {
  if (!json_->is_array()) refuse("an array");
  return json_->size();
}

std::string JsonValue::text() const {
  if (!json_->is_string()) refuse("a text");
  return json_->get<std::string>();
}

bool JsonValue::truth() const {
  if (!json_->is_boolean()) refuse("true or false");
  return json_->get<bool>();
}

int64_t JsonValue::integer(int64_t least, int64_t most) const {
  constexpr auto kMost = std::numeric_limits<int64_t>::max();
  const bool fits = json_->is_number_integer() && (!json_->is_number_unsigned() || json_->get<uint64_t>() <= static_cast<uint64_t>(kMost));
  if (!fits || json_->get<int64_t>() < least || json_->get<int64_t>() > most) {
    refuse(most == kMost ? fmt::format("an integer of at least {}", least) : fmt::format("an integer from {} to {}", least, most));
  }
  return json_->get<int64_t>();
}

double JsonValue::number() const {
  if (json_->is_null()) return std::nan("");
  if (!json_->is_number()) refuse("a number or null");
  return json_->get<double>();
}

}  // namespace zerorun
