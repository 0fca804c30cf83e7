// What the tests of core/data share: a folder of files that lives as long as the test, and errors by kind and message.
#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

#include "core/error.h"

namespace zerorun {

class DataFolder : public testing::Test {
 protected:
  DataFolder() {
    std::string pattern = testing::TempDir() + "zerorun-data-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
  }
  ~DataFolder() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return folder_ / name; }
  std::string write(const std::string& name, const std::string& content) const {
    std::ofstream(path(name), std::ios::binary) << content;
    return path(name);
  }
  std::string write(const std::string& name, const std::vector<uint16_t>& tokens) const {
    return write(name, std::string(reinterpret_cast<const char*>(tokens.data()), tokens.size() * 2));
  }
  // Tokens 0, 1, 2, ...
  std::string write_counting(const std::string& name, int64_t count) const {
    std::vector<uint16_t> tokens(static_cast<size_t>(count));
    std::iota(tokens.begin(), tokens.end(), uint16_t{0});
    return write(name, tokens);
  }

 private:
  std::filesystem::path folder_;
};

template <typename Action>
void expect_error(ErrorKind kind, const testing::Matcher<const std::string&>& message, Action action) {
  try {
    action();
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind);
    EXPECT_THAT(std::string(error.what()), message);
  }
}

}  // namespace zerorun
