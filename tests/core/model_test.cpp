#include "core/model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "core/models/gpt2.h"

namespace zerorun {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Named final : public Unit {
 public:
  using Unit::Unit;
  Carry forward(const StepContext&, Weights, Carry carry) const override { return carry; }
};

std::shared_ptr<const Unit> unit(std::string name, std::vector<Parameter> parameters) {
  return std::make_shared<Named>(std::move(name), std::move(parameters));
}

TEST(Model, AWeightOfTwoUnitsIsAGroupNamedByBoth) {
  const Parameter shared{"shared", {2, 3}, {}};
  const Model model({unit("first", {shared, {"own", {4}, {}}}), unit("second", {{"other", {5}, {}}}), unit("third", {shared})});
  ASSERT_EQ(model.groups().size(), 3u);
  EXPECT_EQ(model.parameter_count(), 6 + 4 + 5);
  for (const auto& group : model.groups()) {
    if (group.parameters[0].name == "shared") {
      EXPECT_THAT(group.units, ElementsAre(0, 2));
      EXPECT_EQ(group.name, "first+third");
    }
  }
  EXPECT_EQ(model.places(0)[0].group, model.places(2)[0].group);
  EXPECT_EQ(model.groups_of(0).size(), 2u);
}

TEST(Model, PlacesFollowTheUnitsOwnOrder) {
  const Model model({unit("only", {{"vector", {4}, {}}, {"matrix", {2, 2}, {}}, {"bias", {3}, {}}})});
  const auto& group = model.groups()[0];
  std::vector<std::string> names;
  for (const auto& place : model.places(0)) names.push_back(group.parameters[place.parameter].name);
  EXPECT_THAT(names, ElementsAre("vector", "matrix", "bias"));
  EXPECT_EQ(group.parameters[0].name, "matrix");
}

TEST(Model, WhatIsFrozenStaysFrozenWhenMoreIs) {
  const auto model = Model({unit("only", {{"a", {2, 2}, {}}, {"b", {2, 2}, {}}, {"c", {2, 2}, {}}})}).with_frozen({"a"}).with_frozen({"b"});
  std::vector<std::string> trained;
  for (const auto& group : model.groups()) {
    for (const auto& parameter : group.parameters) {
      if (group.trainable) trained.push_back(parameter.name);
    }
  }
  EXPECT_THAT(trained, ElementsAre("c"));
}

std::string message_of(std::vector<std::shared_ptr<const Unit>> units) {
  try {
    const Model model(std::move(units));
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

TEST(Model, ContradictingDeclarationsAreRefusedByName) {
  EXPECT_THAT(message_of({unit("a", {{"w", {2, 3}, {}}}), unit("b", {{"w", {3, 2}, {}}})}), HasSubstr("w is declared again by unit b"));
  EXPECT_THAT(message_of({unit("a", {{"w", {2, 0}, {}}})}), HasSubstr("shape [2, 0]"));
  EXPECT_THAT(message_of({unit("a", {{"w", {int64_t{1} << 40, int64_t{1} << 40}, {}}})}), HasSubstr("w of unit a"));
  EXPECT_THAT(message_of({}), HasSubstr("at least one unit"));
}

TEST(Gpt2, SizesThatContradictEachOtherAreRefused) {
  const auto message = [](Gpt2Config config) -> std::string {
    try {
      make_gpt2(config);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::configuration);
      return error.what();
    }
    return {};
  };
  EXPECT_THAT(message({.hidden_size = 10, .num_attention_heads = 3}), HasSubstr("num_attention_heads 3"));
  EXPECT_THAT(message({.vocab_size = -1}), HasSubstr("vocab_size is -1"));
  EXPECT_THAT(message({.num_hidden_layers = 0}), HasSubstr("num_hidden_layers"));
}

}  // namespace
}  // namespace zerorun
