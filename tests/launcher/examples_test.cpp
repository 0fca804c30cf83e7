#include <gtest/gtest.h>

#include <cctype>
#include <filesystem>
#include <string>
#include <vector>

#include "launcher/settings.h"

namespace zerorun {
namespace {

std::vector<std::string> examples() {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(ZERORUN_EXAMPLES)) {
    if (entry.path().extension() == ".yaml") paths.push_back(entry.path());
  }
  return paths;
}

class Example : public testing::TestWithParam<std::string> {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Example);

TEST_P(Example, IsAValidConfiguration) {
  EXPECT_NO_THROW({
    const Settings settings = read_settings(GetParam());
    EXPECT_TRUE(settings == read_settings(GetParam()));
  });
}

INSTANTIATE_TEST_SUITE_P(Examples, Example, testing::ValuesIn(examples()), [](const auto& info) {
  std::string name = std::filesystem::path(info.param).stem();
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return name;
});

}  // namespace
}  // namespace zerorun
