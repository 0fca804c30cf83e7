// The values of a config.json, each with its type and range checked. Private to core/weights.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

namespace zerorun {

// The most that a size may be: far beyond any model, and small enough for what is reckoned from it.
inline constexpr int64_t kMostVocabulary = 16'777'216, kMostWidth = 1'048'576, kMostLayers = 10'000, kMostHeads = 4096;

// Errors name the file and the key. A key that is absent or null gives nothing.
class ConfigValues {
 public:
  // REQUIRES that `object` outlives this. Throws Error(bad_data) where it is no object.
  ConfigValues(const nlohmann::json& object, std::string where);

  const std::string& where() const { return where_; }
  std::optional<int64_t> integer(const char* key, int64_t most) const;  // from 1 to most
  int64_t required(const char* key, int64_t most) const;                // the same, and Error(bad_data) where it is absent
  std::optional<double> real(const char* key, double most) const;       // above 0
  std::optional<double> share(const char* key) const;                   // in [0, 1)
  std::optional<bool> flag(const char* key) const;
  std::optional<std::string> text(const char* key) const;
  const nlohmann::json* find(const char* key) const;  // null where absent or null

  // The same under either of two names, which must agree.
  std::optional<int64_t> integer(const char* key, const char* other, int64_t most) const;

  // Throws Error(configuration) where the key is there with another value than the one that is implemented.
  void require(const char* key, bool implemented) const;
  void require_absent(const char* key) const;

 private:
  [[noreturn]] void wrong(const char* key, const std::string& expected) const;

  const nlohmann::json& object_;
  std::string where_;
};

}  // namespace zerorun
