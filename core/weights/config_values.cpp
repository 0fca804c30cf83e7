#include "core/weights/config_values.h"

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/weights/safetensors_header.h"

namespace zerorun {
namespace {

using Json = nlohmann::json;

std::string value_text(const Json& value) {
  constexpr size_t kMostShown = 80;
  const std::string text = value.dump(-1, ' ', /*ensure_ascii=*/true);
  return text.size() > kMostShown ? text.substr(0, kMostShown) + "..." : text;
}

}  // namespace

ConfigValues::ConfigValues(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
  if (!object.is_object()) fail(ErrorKind::bad_data, "{} is {}, expected an object", where_, value_text(object));
}

const Json* ConfigValues::find(const char* key) const {
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

void ConfigValues::wrong(const char* key, const std::string& expected) const {
  fail(ErrorKind::bad_data, "{}: {} is {}, expected {}", where_, key, value_text(object_.at(key)), expected);
}

std::optional<int64_t> ConfigValues::integer(const char* key, int64_t most) const {
  const Json* value = find(key);
  if (!value) return std::nullopt;
  const bool fits = value->is_number_unsigned() && value->get<uint64_t>() >= 1 && value->get<uint64_t>() <= static_cast<uint64_t>(most);
  if (!fits) wrong(key, fmt::format("an integer from 1 to {}", most));
  return value->get<int64_t>();
}

int64_t ConfigValues::required(const char* key, int64_t most) const {
  const auto value = integer(key, most);
  if (!value) fail(ErrorKind::bad_data, "{}: {} is missing, expected an integer from 1 to {}", where_, key, most);
  return *value;
}

std::optional<int64_t> ConfigValues::integer(const char* key, const char* other, int64_t most) const {
  const auto one = integer(key, most), two = integer(other, most);
  if (one && two && *one != *two) fail(ErrorKind::bad_data, "{}: {} is {}, but {}, its other name, is {}", where_, key, *one, other, *two);
  return one ? one : two;
}

std::optional<double> ConfigValues::real(const char* key, double most) const {
  const Json* value = find(key);
  if (!value) return std::nullopt;
  const bool fits = value->is_number() && value->get<double>() > 0 && value->get<double>() <= most;
  if (!fits) wrong(key, fmt::format("a number above 0 and up to {}", most));
  return value->get<double>();
}

std::optional<double> ConfigValues::share(const char* key) const {
  const Json* value = find(key);
  if (!value) return std::nullopt;
  const bool fits = value->is_number() && value->get<double>() >= 0 && value->get<double>() < 1;
  if (!fits) wrong(key, "a number from 0 to below 1");
  return value->get<double>();
}

std::optional<bool> ConfigValues::flag(const char* key) const {
  const Json* value = find(key);
  if (!value) return std::nullopt;
  if (!value->is_boolean()) wrong(key, "true or false");
  return value->get<bool>();
}

std::optional<std::string> ConfigValues::text(const char* key) const {
  const Json* value = find(key);
  if (!value) return std::nullopt;
  if (!value->is_string()) wrong(key, "a text");
  return value->get<std::string>();
}

void ConfigValues::require(const char* key, bool implemented) const {
  if (flag(key).value_or(implemented) != implemented) {
    fail(ErrorKind::configuration, "{}: {} is {}, which is not implemented, expected {}", where_, key, !implemented, implemented);
  }
}

void ConfigValues::require_absent(const char* key) const {
  if (const Json* value = find(key)) {
    fail(ErrorKind::configuration, "{}: {} is {}, which is not implemented, expected null", where_, shown(key), value_text(*value));
  }
}

}  // namespace zerorun
