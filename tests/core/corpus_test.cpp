#include "core/data/corpus.h"

#include <sys/stat.h>

#include "tests/core/data_folder.h"

namespace zerorun {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

using TokenFileTest = DataFolder;
using CorpusTest = DataFolder;

std::vector<int64_t> all_of(const Corpus& corpus) {
  std::vector<int64_t> tokens(static_cast<size_t>(corpus.size()));
  corpus.copy(0, corpus.size(), tokens.data());
  return tokens;
}

TEST_F(TokenFileTest, ReadsBytesAsTokens) {
  const TokenFile file(write("a.txt", std::string("a\xff\0b", 4)), Format::automatic);
  std::vector<int64_t> tokens(3);
  ASSERT_EQ(file.size(), 4);
  file.copy(1, 3, tokens.data());
  EXPECT_THAT(tokens, ElementsAre(255, 0, 'b'));
}

TEST_F(TokenFileTest, ReadsUint16Tokens) {
  const std::string path = write("a.bin", std::vector<uint16_t>{0, 258, 65535});
  EXPECT_THAT(all_of(Corpus({path}, Format::automatic)), ElementsAre(0, 258, 65535));
  EXPECT_THAT(all_of(Corpus({path}, Format::tokens_uint16)), ElementsAre(0, 258, 65535));
  EXPECT_THAT(all_of(Corpus({path}, Format::bytes)), ElementsAre(0, 0, 2, 1, 255, 255));
}

TEST_F(TokenFileTest, RefusesReadingPastTheEnd) {
  const Corpus corpus({write("a.txt", "abc")}, Format::bytes);
  int64_t tokens[4];
  EXPECT_THROW(corpus.copy(0, 4, tokens), Error);
  EXPECT_THROW(corpus.copy(-1, 1, tokens), Error);
}

TEST_F(TokenFileTest, NamesAMissingFile) {
  expect_error(ErrorKind::missing_input, AllOf(HasSubstr(path("none.txt")), HasSubstr("No such file")),
               [&] { Corpus({path("none.txt")}, Format::automatic); });
  expect_error(ErrorKind::missing_input, HasSubstr(path("*.none")), [&] { Corpus({path("*.none")}, Format::automatic); });
}

TEST_F(TokenFileTest, RefusesWhatIsNoFileOfTokens) {
  expect_error(ErrorKind::bad_data, AllOf(HasSubstr(path("empty.txt")), HasSubstr("is empty")),
               [&] { Corpus({write("empty.txt", "")}, Format::automatic); });
  expect_error(ErrorKind::bad_data, AllOf(HasSubstr(path("odd.bin")), HasSubstr("3 bytes")),
               [&] { Corpus({write("odd.bin", "abc")}, Format::automatic); });
  expect_error(ErrorKind::bad_data, AllOf(HasSubstr(path("")), HasSubstr("not a regular file")),
               [&] { Corpus({path("")}, Format::automatic); });
}

TEST_F(TokenFileTest, RefusesAPipeWithoutWaitingForItsWriter) {
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  expect_error(ErrorKind::bad_data, HasSubstr("not a regular file"), [&] { Corpus({path("pipe")}, Format::automatic); });
}

TEST_F(CorpusTest, ReadsFilesAsOneStream) {
  const Corpus corpus({write("1", "ab"), write("2", "c"), write("3", "def")}, Format::bytes);
  for (int64_t first = 0; first <= 6; ++first)
    for (int64_t count = 0; first + count <= 6; ++count) {
      std::vector<int64_t> tokens(static_cast<size_t>(count));
      corpus.copy(first, count, tokens.data());
      for (int64_t i = 0; i < count; ++i) ASSERT_EQ(tokens[static_cast<size_t>(i)], 'a' + first + i);
    }
}

TEST_F(CorpusTest, TakesTheFilesOfAPatternInByteOrder) {
  write("b.txt", "b");
  write("B.txt", "B");
  write("a.txt", "a");
  write("c.dat", "c");
  EXPECT_THAT(all_of(Corpus({path("*.txt")}, Format::bytes)), ElementsAre('B', 'a', 'b'));
  EXPECT_THAT(all_of(Corpus({path("c.dat"), path("[ab].txt")}, Format::bytes)), ElementsAre('c', 'a', 'b'));
}

TEST_F(CorpusTest, TakesAnExistingFileByItsNameEvenIfItIsAPattern) {
  write("a.txt", "a");
  EXPECT_THAT(all_of(Corpus({write("[a].txt", "x")}, Format::bytes)), ElementsAre('x'));
}

TEST_F(CorpusTest, NamesTheTokenOutsideOfTheVocabulary) {
  const Corpus tokens({write("good.bin", std::vector<uint16_t>{1, 2}), write("bad.bin", std::vector<uint16_t>{9, 99, 100, 101})},
                      Format::automatic);
  tokens.check_vocabulary(102);
  expect_error(ErrorKind::bad_data,
               AllOf(HasSubstr(path("bad.bin")), HasSubstr("token 100 at position 2"), HasSubstr("vocab_size 100")),
               [&] { tokens.check_vocabulary(100); });
  const Corpus bytes({write("a.txt", "ab")}, Format::automatic);
  bytes.check_vocabulary(int64_t{1} << 40);
  expect_error(ErrorKind::bad_data, HasSubstr("token 98 at position 1"), [&] { bytes.check_vocabulary(98); });
}

TEST_F(CorpusTest, SplitsOffTheLastFraction) {
  const Split split = open_split({.train = {write_counting("a.bin", 105)}, .validation_fraction = 0.1});
  EXPECT_EQ(split.train.first, 0);
  EXPECT_EQ(split.train.count, 95);
  EXPECT_EQ(split.validation.first, 95);
  EXPECT_EQ(split.validation.count, 10);
  EXPECT_EQ(split.train.corpus, split.validation.corpus);
}

TEST_F(CorpusTest, TakesValidationFromItsOwnFilesOrHasNone) {
  const std::string train = write_counting("a.bin", 100), other = write_counting("b.bin", 30);
  const Split both = open_split({.train = {train}, .validation = {other}});
  EXPECT_EQ(both.train.count, 100);
  EXPECT_EQ(both.validation.count, 30);
  const Split none = open_split({.train = {train}});
  EXPECT_EQ(none.train.count, 100);
  EXPECT_FALSE(none.validation.corpus);
}

}  // namespace
}  // namespace zerorun
