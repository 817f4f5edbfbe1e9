// The parts by themselves: behaviours of a split, added-token flags, normalizers, models with
// unknown symbols, decoders.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <regex.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <thread>

#include "base/text.h"
#include "runner/tokenizer/tokenizer.h"
#include "runner/tokenizer/unicode.h"

namespace h1bench {
namespace {

/// A tokenizer without merges over the printable ASCII characters (id = code point - 32) and the
/// further tokens, so that what was cut or rewritten shows in the decoded text.
Tokenizer Make(const std::string& parts, const std::string& model = "") {
  std::string vocab;
  for (char c = ' '; c < 127; ++c) {
    const std::string escaped = c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
    vocab += (vocab.empty() ? "\"" : ",\"") + escaped + "\":" + std::to_string(c - ' ');
  }
  auto tokenizer = Tokenizer::Parse(
      R"({"version":"1.0",)" + parts + R"("model":{"type":"BPE","vocab":{)" + vocab +
          R"(,"<?>":95,"<0x0A>":96,"<0xC3>":97},"merges":[])" + model + "}}",
      "made");
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return std::move(tokenizer).value();
}

std::string RoundTrip(const Tokenizer& tokenizer, std::string_view text) {
  return tokenizer.Decode(tokenizer.Encode(text));
}

constexpr const char* kFuse = R"("decoder":{"type":"Fuse"},)";

/// Pieces of "a--b-" around "-" under a behaviour: every piece becomes one token by ignore_merges.
std::string Pieces(const std::string& behavior, bool invert) {
  const std::string split =
      R"("pre_tokenizer":{"type":"Split","pattern":{"String":"-"},"behavior":")" + behavior +
      R"(","invert":)" + (invert ? "true" : "false") + "},";
  const std::string vocab =
      R"({"a":0,"-":1,"b":2,"--":3,"a-":4,"b-":5,"-b":6,"a--":7,"--b":8,"-a":9})";
  const auto tokenizer = Tokenizer::Parse(R"({"version":"1.0",)" + split + R"("model":{"vocab":)" +
                                              vocab + R"(,"merges":[],"ignore_merges":true}})",
                                          "made");
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return tokenizer->Decode(tokenizer->Encode("a--b-"));  // no decoder: joined by spaces
}

TEST(TokenizerSplit, FiveBehavioursAndInvert) {
  EXPECT_EQ(Pieces("Removed", false), "a b");
  EXPECT_EQ(Pieces("Isolated", false), "a - - b -");
  EXPECT_EQ(Pieces("Contiguous", false), "a -- b -");
  EXPECT_EQ(Pieces("MergedWithPrevious", false), "a- - b-");
  EXPECT_EQ(Pieces("MergedWithNext", false), "a - -b -");
  EXPECT_EQ(Pieces("Removed", true), "- - -");
  EXPECT_EQ(Pieces("MergedWithNext", true), "a- - b-");
  EXPECT_EQ(Pieces("MergedWithPrevious", true), "a - -b -");
}

TEST(TokenizerNormalizers, EachAlone) {
  const auto with = [](const std::string& normalizer, std::string_view text) {
    return RoundTrip(Make(R"("normalizer":)" + normalizer + "," + kFuse), text);
  };
  EXPECT_EQ(with(R"({"type":"Lowercase"})", "AbC"), "abc");
  EXPECT_EQ(with(R"({"type":"Strip"})", "  a b\t"), "a b");
  EXPECT_EQ(with(R"({"type":"Strip","strip_left":false})", " a "), " a");
  EXPECT_EQ(with(R"({"type":"Prepend","prepend":"_"})", "x"), "_x");
  EXPECT_EQ(with(R"({"type":"Replace","pattern":{"Regex":" {2,}"},"content":" "})", "a   b c"),
            "a b c");
  EXPECT_EQ(with(R"({"type":"Replace","pattern":{"String":"."},"content":"!"})", "a.b"), "a!b");
  EXPECT_EQ(with(R"({"type":"NFKC"})", "\xEF\xAC\x81"), "fi");
  EXPECT_EQ(with(R"({"type":"Sequence","normalizers":[{"type":"NFKD"},{"type":"Lowercase"}]})",
                 "\xEF\xBC\xA1"),
            "a");
  EXPECT_EQ(tokenizer::Normalize("e\xCC\x81", tokenizer::NormalForm::kNfc), "\xC3\xA9");
  EXPECT_EQ(tokenizer::Normalize("\xC3\xA9", tokenizer::NormalForm::kNfd), "e\xCC\x81");
  EXPECT_EQ(tokenizer::Lowercase("\xC4\xB0\xCE\xA3"),
            "i\xCC\x87\xCF\x83");  // I with dot: two; no final sigma
}

TEST(TokenizerAddedTokens, Flags) {
  const auto encode = [](const std::string& flags, std::string_view text) {
    const Tokenizer tokenizer = Make(
        R"("added_tokens":[{"id":98,"content":"END")" + flags + "}," +
        R"({"id":99,"content":"ENDS","normalized":false}],"normalizer":{"type":"Lowercase"},)" +
        kFuse);
    std::string out;
    for (const std::int32_t id : tokenizer.Encode(text))
      out += id < 95 ? std::string(1, static_cast<char>(' ' + id)) : id == 98 ? "<1>" : "<2>";
    return out;
  };
  EXPECT_EQ(encode(R"(,"normalized":false)", "aENDb"), "a<1>b");
  EXPECT_EQ(encode(R"(,"normalized":false)", "ENDSEND"), "<2><1>");  // the longest of the leftmost
  EXPECT_EQ(encode(R"(,"normalized":false)", "aendb"), "aendb");
  EXPECT_EQ(encode(R"(,"normalized":true)", "aEnDb"), "a<1>b");  // looks at the normalized text
  EXPECT_EQ(encode(R"(,"normalized":false,"single_word":true)", "aEND END."), "aend <1>.");
  EXPECT_EQ(encode(R"(,"normalized":false,"lstrip":true)", "a  END b"), "a<1> b");
  EXPECT_EQ(encode(R"(,"normalized":false,"rstrip":true)", "a END  b"), "a <1>b");
  EXPECT_EQ(encode(R"(,"normalized":false,"rstrip":true,"lstrip":true)", "END  END"), "<1><1>");
}

TEST(TokenizerBpe, UnknownSymbols) {
  const char* const unk = R"(,"unk_token":"<?>")";
  EXPECT_EQ(RoundTrip(Make(kFuse), "a\xC3\xA9\xC3\xA9z"), "az");  // no unk_token: dropped
  EXPECT_EQ(RoundTrip(Make(kFuse, unk), "a\xC3\xA9\xC3\xA9z"), "a<?><?>z");
  EXPECT_EQ(RoundTrip(Make(kFuse, std::string(unk) + R"(,"fuse_unk":true)"), "a\xC3\xA9\xC3\xA9z"),
            "a<?>z");
  const std::string fallback = std::string(unk) + R"(,"byte_fallback":true)";
  const char* const decoder =
      R"("decoder":{"type":"Sequence","decoders":[{"type":"ByteFallback"},{"type":"Fuse"}]},)";
  EXPECT_EQ(RoundTrip(Make(decoder, fallback), "a\nb"), "a\nb");
  EXPECT_EQ(RoundTrip(Make(decoder, fallback), "a\xC3\xA9z"),
            "a<?>z");  // "<0xA9>" is missing: not by bytes
  const std::vector<std::int32_t> broken = {97, 97, 33};
  EXPECT_EQ(Make(decoder).Decode(broken),
            "\xEF\xBF\xBD\xEF\xBF\xBD"
            "A");
}

TEST(TokenizerDecoders, StripAndReplace) {
  const std::vector<std::int32_t> ids = {'x' - ' ', 'x' - ' ', 'y' - ' '};
  EXPECT_EQ(Make(R"("decoder":{"type":"Strip","content":"x","start":1,"stop":0},)").Decode(ids),
            "y");
  EXPECT_EQ(
      Make(R"("decoder":{"type":"Replace","pattern":{"String":"x"},"content":"z"},)").Decode(ids),
      "zzy");
  EXPECT_EQ(Make("").Decode(ids), "x x y");
  const std::vector<std::int32_t> unknown = {-5, 'x' - ' ', 1 << 30};
  EXPECT_EQ(Make("").Decode(unknown), "x");
}

TEST(TokenizerText, InvalidUtf8IsReplacedFirst) {
  const Tokenizer tokenizer = Make(kFuse, R"(,"unk_token":"<?>")");
  EXPECT_EQ(tokenizer.Encode("a\xFF"
                             "b"),
            tokenizer.Encode("a\xEF\xBF\xBD"
                             "b"));
  EXPECT_TRUE(tokenizer.Encode("").empty());
}

/// Every code point, as the upstream library classes it (tokenizers 0.23.3 was asked one by one).
TEST(TokenizerUnicode, ClassesOfEveryCodePoint) {
  int punctuation = 0;
  int numeric = 0;
  int space = 0;
  for (std::uint32_t c = 0; c < 0x110000; ++c) {
    punctuation += tokenizer::IsPunctuation(c);
    numeric += tokenizer::IsNumeric(c);
    space += tokenizer::IsWhitespace(c);
  }
  EXPECT_EQ(space, 25);
  EXPECT_EQ(punctuation, 726);
  EXPECT_EQ(numeric, 1831);
  EXPECT_TRUE(tokenizer::IsPunctuation(0x166D));   // a symbol since Unicode 12
  EXPECT_FALSE(tokenizer::IsPunctuation(0x2E52));  // newer than upstream's table
  EXPECT_TRUE(tokenizer::IsWord(0x24B6));          // circled letter: alphabetic
  EXPECT_FALSE(tokenizer::IsWord(0xB2));           // superscript two: a number, not a digit
}

TEST(TokenizerUnicode, BytesAndCodePointsAreABijection) {
  for (int byte = 0; byte < 256; ++byte)
    EXPECT_EQ(
        tokenizer::CodePointToByte(tokenizer::ByteToCodePoint()[static_cast<std::size_t>(byte)]),
        byte);
  EXPECT_EQ(tokenizer::ByteToCodePoint()[' '], 0x120U);
  EXPECT_EQ(tokenizer::CodePointToByte(0x144), -1);
}

/// The queue gives what merging the best pair of all, again and again, gives.
TEST(TokenizerBpe, QueueEqualsTheDefinition) {
  // Tokens are strings over a and b up to length 4; merges in a shuffled order.
  std::vector<std::string> tokens = {"a", "b"};
  for (std::size_t i = 0; i < tokens.size() && tokens[i].size() < 4; ++i)
    for (const char* c : {"a", "b"}) tokens.push_back(tokens[i] + c);
  std::vector<std::pair<std::string, std::string>> merges;
  for (const std::string& token : tokens)
    for (std::size_t cut = 1; cut < token.size(); ++cut)
      merges.emplace_back(token.substr(0, cut), token.substr(cut));
  std::mt19937 random(7);
  for (int round = 0; round < 20; ++round) {
    std::shuffle(merges.begin(), merges.end(), random);
    std::string vocab;
    for (std::size_t i = 0; i < tokens.size(); ++i)
      vocab += (i > 0 ? ",\"" : "\"") + tokens[i] + "\":" + std::to_string(i);
    std::string list;
    for (const auto& [a, b] : merges) list += (list.empty() ? "\"" : ",\"") + a + " " + b + "\"";
    const auto tokenizer = Tokenizer::Parse(
        R"({"version":"1.0","model":{"vocab":{)" + vocab + R"(},"merges":[)" + list + "]}}",
        "made");
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
    for (int i = 0; i < 50; ++i) {
      std::vector<std::string> symbols(1 + random() % 20);
      std::string text;
      for (std::string& symbol : symbols) text += symbol = random() % 2 == 0 ? "a" : "b";
      for (const auto& [a, b] :
           merges) {  // the definition: by rank, leftmost first, until nothing changes
        (void)a, (void)b;
        std::size_t best_rank = merges.size();
        std::size_t best = 0;
        for (std::size_t at = 0; at + 1 < symbols.size(); ++at) {
          const auto found =
              std::find(merges.begin(), merges.end(), std::pair(symbols[at], symbols[at + 1]));
          const auto rank = static_cast<std::size_t>(found - merges.begin());
          if (rank < best_rank) best_rank = rank, best = at;
        }
        if (best_rank == merges.size()) break;
        symbols[best] += symbols[best + 1];
        symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
      }
      std::string expected;
      for (const std::string& symbol : symbols) expected += (expected.empty() ? "" : " ") + symbol;
      EXPECT_EQ(RoundTrip(*tokenizer, text), expected) << text;
    }
  }
}

TEST(TokenizerThreads, EncodeIsTheSameFromManyThreads) {
  const Tokenizer tokenizer = Make(R"("pre_tokenizer":{"type":"Whitespace"},)");
  const std::string text = "some words, and 12 more.";
  const std::vector<std::int32_t> expected = tokenizer.Encode(text);
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int k = 0; k < 200; ++k) wrong += tokenizer.Encode(text) != expected;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

/// Oniguruma exports the C library's names for regular expressions. Whoever calls those must get
/// the C library's; under AddressSanitizer half of them came from each, and regexec never returned.
TEST(TokenizerLink, RegularExpressionsOfTheCLibraryStayItsOwn) {
  for (const auto& function : {reinterpret_cast<void*>(&regcomp), reinterpret_cast<void*>(&regexec),
                               reinterpret_cast<void*>(&regfree)}) {
    Dl_info info = {};
    ASSERT_NE(dladdr(function, &info), 0);
    EXPECT_EQ(std::string_view(info.dli_fname).find("libonig"), std::string_view::npos);
  }
  regex_t pattern = {};
  ASSERT_EQ(regcomp(&pattern, "a(b+)[.]", REG_EXTENDED), 0);
  EXPECT_EQ(pattern.re_nsub, 1U);
  regmatch_t found[2] = {};
  EXPECT_EQ(regexec(&pattern, "xxabb.", 2, found, 0), 0);
  EXPECT_EQ(found[1].rm_eo - found[1].rm_so, 2);
  EXPECT_EQ(regexec(&pattern, "xxabb", 2, found, 0), REG_NOMATCH);
  regfree(&pattern);
}

}  // namespace
}  // namespace h1bench
