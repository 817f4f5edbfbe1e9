// Ids and text of every golden case, as the Hugging Face library (tokenizers 0.23.3) gave them.
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "runner/tokenizer/tokenizer.h"
#include "tests/paths.h"

namespace h1bench {
namespace {

std::vector<std::int32_t> Ids(const Json& array) {
  std::vector<std::int32_t> ids;
  for (const Json& id : array.as_array()) ids.push_back(static_cast<std::int32_t>(id.as_int()));
  return ids;
}

struct Counts {
  int cases = 0;
  int ids = 0;
  int ids_with_special = 0;
  int decoded = 0;
  int decoded_skipping_special = 0;
};

/// How many cases of the file differ from what `tokenizer` gives, each kind by itself.
Counts Differences(const Tokenizer& tokenizer, const std::filesystem::path& cases) {
  Counts counts;
  const auto file = ReadFile(cases);
  EXPECT_TRUE(file.ok()) << file.status().message();
  if (!file.ok()) return counts;
  for (const std::string_view line : SplitLines(*file)) {
    const auto row = ParseJson(line);
    EXPECT_TRUE(row.ok()) << row.status().message();
    if (!row.ok()) return counts;
    const auto member = [&](const char* key, const char* otherwise) -> const Json& {
      return row->Find(key) != nullptr ? *row->Find(key) : *row->Find(otherwise);
    };
    const std::string& text = row->Find("text")->as_string();
    const std::vector<std::int32_t> ids = Ids(*row->Find("ids"));
    const std::vector<std::int32_t> with_special = Ids(member("ids_with_special", "ids"));
    ++counts.cases;
    counts.ids += tokenizer.Encode(text) != ids;
    counts.ids_with_special += tokenizer.Encode(text, true) != with_special;
    counts.decoded += tokenizer.Decode(ids) != row->Find("decoded")->as_string();
    // The golden file decodes what was encoded with specials.
    counts.decoded_skipping_special += tokenizer.Decode(with_special, true) !=
                                       member("decoded_skipping_special", "decoded").as_string();
  }
  return counts;
}

void ExpectEqual(const std::filesystem::path& file, const std::filesystem::path& cases,
                 int expected_cases) {
  const auto tokenizer = Tokenizer::Open(file);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  const Counts counts = Differences(*tokenizer, cases);
  EXPECT_EQ(counts.cases, expected_cases);
  EXPECT_EQ(counts.ids, 0);
  EXPECT_EQ(counts.ids_with_special, 0);
  EXPECT_EQ(counts.decoded, 0);
  EXPECT_EQ(counts.decoded_skipping_special, 0);
  EXPECT_EQ(tokenizer->limit_hits(), 0U);
}

class TokenizerGolden : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Full, TokenizerGolden,
                         ::testing::Values("added-tokens", "contiguous-three-digits",
                                           "digits-punctuation", "dolma2", "gpt-neox", "gpt2",
                                           "split-regex-bos", "whitespace-split"));

TEST_P(TokenizerGolden, FullSetIsEqual) {
  H1_NEED_SHARED();
  const std::string name = GetParam();
  const auto goldens = testing::SharedDir() / "goldens/tokenizers";
  auto file = goldens / (name + ".json");
  if (!std::filesystem::exists(file)) file = testing::SharedDir() / "data/tokenizers" / name;
  ExpectEqual(file, goldens / (name + ".cases.jsonl"), 387);
}

class TokenizerSubset : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Committed, TokenizerSubset,
                         ::testing::Values("added-tokens", "split-regex-bos"));

TEST_P(TokenizerSubset, IsEqual) {
  const auto goldens = testing::GoldensDir() / "tokenizer";
  const std::string name = GetParam();
  ExpectEqual(goldens / (name + ".json"), goldens / (name + ".cases.jsonl"), 120);
}

/// The comparison sees a tokenizer that is wrong in one small thing.
TEST(TokenizerPlanted, MistakesAreSeen) {
  const auto goldens = testing::GoldensDir() / "tokenizer";
  const auto json = ReadFile(goldens / "added-tokens.json");
  ASSERT_TRUE(json.ok());
  const std::pair<const char*, const char*> mistakes[] = {
      {R"("type":"NFKC")", R"("type":"NFC")"},
      {R"("add_prefix_space":true,"trim_offsets":true,"use_regex":true},"post_processor")",
       R"("add_prefix_space":false,"trim_offsets":true,"use_regex":true},"post_processor")"},
      {R"("lstrip":true)", R"("lstrip":false)"},
      {R"("strip_right":true)", R"("strip_right":false)"}};
  for (const auto& [right, wrong] : mistakes) {
    std::string broken = *json;
    const std::size_t at = broken.find(right);
    ASSERT_NE(at, std::string::npos) << right;
    broken.replace(at, std::string_view(right).size(), wrong);
    const auto tokenizer = Tokenizer::Parse(broken, "broken");
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
    EXPECT_GT(Differences(*tokenizer, goldens / "added-tokens.cases.jsonl").ids, 0) << wrong;
  }
}

}  // namespace
}  // namespace h1bench
