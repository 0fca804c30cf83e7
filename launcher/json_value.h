// A value of a JSON file that somebody else may have touched: what is not there, or not what was expected, is one error that names the file and the place.
#pragma once
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace zerorun {

class JsonValue {
 public:
  // Throws Error(bad_data), as all below. `place`: what the messages name, "report.json" or "metrics.jsonl:3".
  static nlohmann::json parse(std::string_view text, const std::string& place);
  // REQUIRES that json outlives it.
  JsonValue(const nlohmann::json& json, std::string place, std::string path = "") : json_(&json), place_(std::move(place)), path_(std::move(path)) {}

  JsonValue operator[](const char* key) const;  // of an object that has it
  std::optional<JsonValue> find(const char* key) const;
  JsonValue operator[](size_t index) const;
  size_t size() const;  // of an array

  std::string text() const;
  bool truth() const;
  int64_t integer(int64_t least = 0, int64_t most = std::numeric_limits<int64_t>::max()) const;
  double number() const;  // null is NaN
  bool is_null() const { return json_->is_null(); }
  [[noreturn]] void refuse(const std::string& expected) const;

 private:
  const nlohmann::json* json_;
  std::string place_, path_;
};

}  // namespace zerorun
