// Files that must be refused, each with the exact words a person reads.
#include <gtest/gtest.h>

#include "runner/tokenizer/tokenizer.h"
#include "tests/paths.h"

namespace h1bench {
namespace {

/// A small valid file with one member replaced.
std::string File(const std::string& member, const std::string& value) {
  const std::pair<const char*, std::string> members[] = {
      {"version", R"("1.0")"},
      {"added_tokens", "[]"},
      {"normalizer", "null"},
      {"pre_tokenizer", "null"},
      {"post_processor", "null"},
      {"decoder", "null"},
      {"model", R"({"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]})"}};
  std::string out = "{";
  for (const auto& [name, usual] : members)
    out += (out.size() > 1 ? ",\"" : "\"") + std::string(name) +
           "\":" + (name == member ? value : usual);
  return out + "}";
}

std::string Model(const std::string& vocab, const std::string& merges,
                  const std::string& more = "") {
  return File("model", R"({"type":"BPE","vocab":)" + vocab + R"(,"merges":)" + merges + more + "}");
}

std::string ErrorOf(const std::string& json) {
  const auto tokenizer = Tokenizer::Parse(json, "t.json");
  return tokenizer.ok() ? "loaded" : tokenizer.status().message();
}

TEST(TokenizerErrors, TheSmallFileItselfLoads) {
  const auto tokenizer = Tokenizer::Parse(File("", ""), "t.json");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  EXPECT_EQ(tokenizer->Encode("abba"), (std::vector<std::int32_t>{2, 1, 0}));
}

TEST(TokenizerErrors, UnknownPartsAreNamed) {
  EXPECT_EQ(
      ErrorOf(File("normalizer", R"({"type":"Nmt"})")),
      "t.json: normalizer: unknown normalizer \"Nmt\"; known: Lowercase NFC NFD NFKC NFKD Prepend "
      "Replace Sequence Strip");
  EXPECT_EQ(
      ErrorOf(File("pre_tokenizer",
                   R"({"type":"Sequence","pretokenizers":[{"type":"Digits"},{"type":"Bert"}]})")),
      "t.json: pre_tokenizer.pretokenizers[1]: unknown pre-tokenizer \"Bert\"; known: ByteLevel "
      "Digits "
      "Punctuation Sequence Split Whitespace WhitespaceSplit");
  EXPECT_EQ(ErrorOf(File("post_processor", R"({"type":"BertProcessing"})")),
            "t.json: post_processor: unknown post-processor \"BertProcessing\"; known: ByteLevel "
            "Sequence "
            "TemplateProcessing");
  EXPECT_EQ(ErrorOf(File("decoder", R"({"type":"WordPiece"})")),
            "t.json: decoder: unknown decoder \"WordPiece\"; known: ByteFallback ByteLevel Fuse "
            "Replace Sequence "
            "Strip");
  EXPECT_EQ(ErrorOf(File("model", R"({"type":"Unigram","vocab":[]})")),
            "t.json: model: unknown model \"Unigram\"; known: BPE");
  EXPECT_EQ(ErrorOf(File("pre_tokenizer", R"({"type":"Digits","individual":true})")),
            "t.json: pre_tokenizer: unknown member \"individual\"; known: type individual_digits");
  EXPECT_EQ(ErrorOf(File("pre_tokenizer", R"({"type":"Punctuation","behavior":"Kept"})")),
            "t.json: pre_tokenizer.behavior: unknown behavior \"Kept\"; known: Removed Isolated "
            "MergedWithPrevious "
            "MergedWithNext Contiguous");
  EXPECT_EQ(ErrorOf(File("version", R"("2.0")")),
            "t.json: version: expected \"1.0\", found \"2.0\"");
}

TEST(TokenizerErrors, ModelsThatBreakTheFormat) {
  EXPECT_EQ(ErrorOf(Model(R"({"a":0})", R"(["a b"])")),
            "t.json: model.merges[0]: token \"b\" is not in the vocabulary");
  EXPECT_EQ(ErrorOf(Model(R"({"a":0,"b":1})", R"(["a b"])")),
            "t.json: model.merges[0]: token \"ab\" is not in the vocabulary");
  EXPECT_EQ(
      ErrorOf(Model(R"({"a":0,"b":1,"ab":2})", R"([["a","b"],"a b c"])")),
      "t.json: model.merges[1]: expected two tokens and one space between them, found \"a b c\"");
  EXPECT_EQ(ErrorOf(Model(R"({"a":0,"b":1,"ab":2})", "[7]")),
            "t.json: model.merges[0]: expected \"left right\" or [\"left\", \"right\"], found 7");
  EXPECT_EQ(ErrorOf(Model(R"({"a":0,"b":0})", "[]")),
            "t.json: model.vocab: tokens \"a\" and \"b\" have the same id 0");
  EXPECT_EQ(
      ErrorOf(Model(R"({"a":-1})", "[]")),
      "t.json: model.vocab: id of token \"a\": expected an integer from 0 to 2147483646, found -1");
  EXPECT_EQ(ErrorOf(Model(R"({"a":4294967296})", "[]")),
            "t.json: model.vocab: id of token \"a\": expected an integer from 0 to 2147483646, "
            "found 4294967296");
  EXPECT_EQ(ErrorOf(Model(R"({"a":0,"a":1})", "[]")).substr(0, 8), "t.json: ");
  EXPECT_EQ(ErrorOf(Model("[]", "[]")), "t.json: model.vocab: expected an object, found array");
  EXPECT_EQ(
      ErrorOf(Model("{}", "[]", R"(,"dropout":0.1)")),
      "t.json: model.dropout: only null or 0 is supported: dropout draws at random, found 0.1");
  EXPECT_EQ(ErrorOf(Model("{}", "[]", R"(,"continuing_subword_prefix":"##")")),
            "t.json: model.continuing_subword_prefix: only null is supported, found \"##\"");
  EXPECT_EQ(ErrorOf(Model("{}", "[]", R"(,"unk_token":"?")")),
            "t.json: model.unk_token: \"?\" is not in the vocabulary");
  EXPECT_EQ(ErrorOf(File("model", "7")), "t.json: model: expected an object, found integer");
}

TEST(TokenizerErrors, AddedTokens) {
  EXPECT_EQ(ErrorOf(File("added_tokens", R"([{"id":9,"content":"<x>"}])")),
            "t.json: added_tokens[0]: token \"<x>\": expected id 3, found 9");
  EXPECT_EQ(ErrorOf(File("added_tokens", R"([{"id":1,"content":"a"}])")),
            "t.json: added_tokens[0]: token \"a\": expected id 0, found 1");
  EXPECT_EQ(ErrorOf(File("added_tokens", R"([{"id":3,"content":""}])")),
            "t.json: added_tokens[0]: content of 0 bytes; expected 1 to 1024");
  EXPECT_EQ(ErrorOf(File("added_tokens", R"([{"id":0,"content":"a"},{"id":0,"content":"a"}])")),
            "t.json: added_tokens[1]: token \"a\" was added before");
  EXPECT_EQ(ErrorOf(File("added_tokens", R"([{"id":0,"content":"a","special":1}])")),
            "t.json: added_tokens[0].special: expected true or false, found integer");
  EXPECT_EQ(ErrorOf(File("added_tokens", R"({})")),
            "t.json: added_tokens: expected an array, found object");
}

TEST(TokenizerErrors, PatternsAndTemplates) {
  EXPECT_EQ(
      ErrorOf(File("pre_tokenizer",
                   R"({"type":"Split","pattern":{"Regex":"(a"},"behavior":"Isolated"})")),
      "t.json: pre_tokenizer.pattern.Regex: regex (a does not compile: end pattern with unmatched "
      "parenthesis");
  EXPECT_EQ(
      ErrorOf(File("pre_tokenizer", R"({"type":"Split","pattern":"a","behavior":"Isolated"})")),
      "t.json: pre_tokenizer.pattern: expected {\"String\": \"...\"} or {\"Regex\": \"...\"}");
  EXPECT_EQ(ErrorOf(File("pre_tokenizer", R"({"type":"Split","pattern":{"String":"a"}})")),
            "t.json: pre_tokenizer: member \"behavior\" is missing");
  const std::string special =
      R"("special_tokens":{"[B]":{"id":"[B]","ids":[77],"tokens":["[B]"]}}})";
  EXPECT_EQ(
      ErrorOf(File(
          "post_processor",
          R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"[B]"}}],)" + special)),
      "t.json: post_processor.special_tokens.[B].ids[0]: expected the id of a token, found 77");
  EXPECT_EQ(
      ErrorOf(File("post_processor", R"({"type":"TemplateProcessing","single":[],)" + special)),
      "t.json: post_processor: the template has no place for the text (sequence A)");
}

TEST(TokenizerErrors, TextThatIsNoFileAtAll) {
  EXPECT_EQ(ErrorOf("").substr(0, 8), "t.json: ");
  EXPECT_EQ(ErrorOf("[]"), "t.json: expected an object, found array");
  EXPECT_EQ(ErrorOf(R"({"version":"1.0"})"), "t.json: member \"model\" is missing");
  EXPECT_EQ(ErrorOf(File("truncation", "")), "loaded");
  std::string deep = File("normalizer", std::string(100000, '[') + std::string(100000, ']'));
  EXPECT_NE(ErrorOf(deep).find("nested deeper than 64"), std::string::npos);
  EXPECT_FALSE(Tokenizer::Open("/nowhere/tokenizer.json").ok());
}

/// An id far beyond the number of tokens costs no memory of its size.
TEST(TokenizerErrors, SparseIdsAreCheap) {
  const auto tokenizer = Tokenizer::Parse(Model(R"({"a":2147483646})", "[]"), "t.json");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  EXPECT_EQ(tokenizer->vocab_size(), 2147483647);
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode("a")), "a");
}

TEST(TokenizerErrors, HostilePatternsEndAndAreCounted) {
  const auto slow = Tokenizer::Parse(
      File("pre_tokenizer",
           R"({"type":"Split","pattern":{"Regex":"(a|a)*c"},"behavior":"Isolated"})"),
      "t.json");
  ASSERT_TRUE(slow.ok()) << slow.status().message();
  EXPECT_FALSE(slow->Encode(std::string(100, 'a') + "bc").empty());
  EXPECT_EQ(slow->limit_hits(), 1U);
  std::string doubling = R"({"type":"Sequence","normalizers":[)";
  for (int i = 0; i < 60; ++i)
    doubling += std::string(i > 0 ? "," : "") +
                R"({"type":"Replace","pattern":{"String":"a"},"content":"aa"})";
  const auto grown = Tokenizer::Parse(File("normalizer", doubling + "]}"), "t.json");
  ASSERT_TRUE(grown.ok()) << grown.status().message();
  EXPECT_LE(grown->Encode("aaaa").size(), std::size_t{2} << 20);  // not 2^62
  EXPECT_EQ(grown->limit_hits(), 1U);
}

}  // namespace
}  // namespace h1bench
