#include <gmock/gmock.h>

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

TEST_P(Example, IsAValidConfiguration) {
  EXPECT_NO_THROW(read_settings(GetParam()));
}

TEST(Examples, AreThere) { EXPECT_THAT(examples(), testing::Contains(testing::EndsWith("quickstart.yaml"))); }

INSTANTIATE_TEST_SUITE_P(Examples, Example, testing::ValuesIn(examples()), [](const auto& info) {
  std::string name = std::filesystem::path(info.param).stem();
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return name;
});

}  // namespace
}  // namespace zerorun
