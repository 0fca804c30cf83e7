#include "launcher/yaml_document.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

namespace zerorun {
namespace {

std::string problems_of(const std::string& text) {
  std::string all;
  for (const YamlProblem& problem : parse_yaml(text).problems) {
    all += fmt::format("{}:{} {}\n", problem.at.line, problem.at.column, problem.text);
  }
  return all;
}

TEST(YamlDocument, KnowsLineAndColumnOfKeysAndValues) {
  const YamlDocument document = parse_yaml("a:\n  b: 5\n  c: [x, \"y\"]\n");
  ASSERT_TRUE(document.complete);
  const YamlEntry& b = document.root.entries.at(0).value.entries.at(0);
  EXPECT_EQ(b.key, "b");
  EXPECT_EQ(b.at.line, 2);
  EXPECT_EQ(b.at.column, 3);
  EXPECT_EQ(b.value.at.column, 6);
  const YamlNode& list = document.root.entries.at(0).value.entries.at(1).value;
  EXPECT_FALSE(list.items.at(0).quoted);
  EXPECT_TRUE(list.items.at(1).quoted);
  EXPECT_EQ(describe(list), "[x, the text \"y\"]");
}

TEST(YamlDocument, ReportsADuplicateKeyAndKeepsTheFirst) {
  EXPECT_EQ(problems_of("a: 1\nb: 2\na: 3\n"), "3:1 duplicate key a, first set in line 1\n");
  EXPECT_EQ(parse_yaml("a: 1\na: 3\n").root.entries.at(0).value.text, "1");
}

TEST(YamlDocument, ReportsAnchorsAliasesAndTags) {
  EXPECT_EQ(problems_of("a: &x 1\nb: *x\n"),
            "1:4 an anchor (&name) is not allowed\n2:4 an alias (*name) is not allowed: write the value itself\n");
  EXPECT_THAT(problems_of("a: !!int 1\n"), testing::HasSubstr("1:4 a tag (tag:yaml.org,2002:int) is not allowed"));
}

TEST(YamlDocument, ReportsKeysThatAreNotWords) {
  EXPECT_THAT(problems_of("[1, 2]: 3\n"), testing::HasSubstr("a key must be a word"));
  EXPECT_THAT(problems_of("\"\": 3\n"), testing::HasSubstr("a key must be a word"));
  EXPECT_THAT(problems_of("\"a\\nb\": 3\n"), testing::HasSubstr("a key must be a word"));
  EXPECT_THAT(problems_of("? {a: b}\n: 3\n"), testing::HasSubstr("a key must be a word"));
}

TEST(YamlDocument, StopsAtASecondDocument) {
  EXPECT_EQ(problems_of("a: 1\n---\nb: 2\n"), "2:1 a second document is not allowed\n");
  EXPECT_EQ(problems_of("---\na: 1\n"), "");
}

TEST(YamlDocument, StopsWhereNestingIsTooDeep) {
  const YamlDocument document = parse_yaml(std::string(100'000, '['));
  EXPECT_FALSE(document.complete);
  EXPECT_EQ(document.problems.at(0).text, "nested deeper than 16 levels");
  EXPECT_TRUE(parse_yaml("a: " + std::string(15, '[') + std::string(15, ']')).complete);
  EXPECT_FALSE(parse_yaml("a: " + std::string(16, '[') + std::string(16, ']')).complete);
}

TEST(YamlDocument, NamesATabThatIndents) {
  EXPECT_THAT(problems_of("run:\n\tname: x\n"), testing::HasSubstr("indent with spaces"));
  EXPECT_THAT(problems_of("a: [1, 2\n"), testing::Not(testing::HasSubstr("tab")));
}

TEST(YamlDocument, ReportsASyntaxErrorWithItsPosition) {
  const YamlDocument document = parse_yaml("a: 1\nb: [1, 2\n");
  EXPECT_FALSE(document.complete);
  EXPECT_THAT(document.problems.at(0).text, testing::StartsWith("not YAML: "));
  EXPECT_EQ(document.problems.at(0).at.line, 3);
}

TEST(YamlDocument, AnEmptyTextIsNull) {
  for (const char* text : {"", "# nothing\n", "---\n"}) {
    EXPECT_EQ(parse_yaml(text).root.kind, YamlNode::Kind::null) << text;
    EXPECT_EQ(problems_of(text), "") << text;
  }
}

}  // namespace
}  // namespace zerorun
