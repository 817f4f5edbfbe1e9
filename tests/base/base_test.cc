#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/json.h"
#include "base/sha256.h"
#include "base/text.h"

namespace h1bench {
namespace {

// FIPS 180-4 example "abc".
TEST(Sha256, KnownVector) {
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256().Update("a").Update("bc").FinishHex(), Sha256Hex("abc"));
  EXPECT_NE(Sha256().UpdateField("a").UpdateField("bc").FinishHex(),
            Sha256().UpdateField("ab").UpdateField("c").FinishHex());
}

TEST(Json, RoundTripKeepsOrderAndTypes) {
  const std::string text =
      R"({"b":1,"a":[1.5,-2,18446744073709551615,"x\n\u0001",null,true],"c":{"d":1.0}})";
  const auto value = ParseJson(text);
  ASSERT_TRUE(value.ok()) << value.status().message();
  EXPECT_EQ(WriteJson(*value), text);
}

TEST(Json, NumbersAreExact) {
  const auto parse = [](const char* text) { return ParseJson(text).value(); };
  for (const char* zero : {"0e-200", "0.0e-30", "0e300", "0.000e-50", "-0e-100", "1e-400", "0.0"})
    EXPECT_EQ(parse(zero).as_double(), 0.0) << zero;
  EXPECT_TRUE(std::signbit(parse("-0.0").as_double()));
  EXPECT_EQ(parse("2.4703282292062328e-324").as_double(),
            std::numeric_limits<double>::denorm_min());
  EXPECT_EQ(parse("1.7976931348623157e308").as_double(), std::numeric_limits<double>::max());
  EXPECT_EQ(parse("1e-5").as_double(), 1e-5);
  EXPECT_EQ(parse("123456789012345678901234567890").as_double(), 123456789012345678901234567890.0);
  EXPECT_EQ(parse("18446744073709551615").as_uint(), UINT64_MAX);
  EXPECT_EQ(parse("-9223372036854775808").as_int(), INT64_MIN);
  EXPECT_TRUE(parse("-0").is_integer());
  EXPECT_FALSE(parse("1.0").is_integer());
  for (const char* bad : {"1e400", "1.7976931348623159e308", "01", "1.", ".5", "+1", "0x1", "1e",
                          "-", "--1", "inf", "nan"})
    EXPECT_FALSE(ParseJson(bad).ok()) << bad;
  EXPECT_TRUE(std::isnan(ParseJson("NaN", {.allow_nonfinite = true})->as_double()));
  EXPECT_EQ(ParseJson("-Infinity", {.allow_nonfinite = true})->as_double(),
            -std::numeric_limits<double>::infinity());
}

TEST(Json, ErrorsNameThePlace) {
  const auto duplicate = ParseJson("{\"a\":1,\n \"a\":2}");
  ASSERT_FALSE(duplicate.ok());
  EXPECT_NE(duplicate.status().message().find("duplicate key \"a\""), std::string::npos);
  EXPECT_EQ(duplicate.status().message().substr(0, 2), "2:");
  EXPECT_FALSE(ParseJson("[1] 2").ok());
  EXPECT_EQ(ParseJson(std::string_view("[1]\n\0 2", 7)).status().message(),
            "2:1: not valid JSON: a zero byte");
  EXPECT_EQ(ParseJson("{\"a\":\"x\\udfff\"}").status().message(),
            "1:15: not valid JSON: half of a surrogate pair in a string");
  EXPECT_FALSE(ParseJson("{\"\\udc00\":1}").ok());
  EXPECT_EQ(ParseJson("\"\\ud83d\\ude00\\ud7ff\"")->as_string(), "\xF0\x9F\x98\x80\xED\x9F\xBF");
  EXPECT_FALSE(ParseJson("\"\xff\"").ok());
  EXPECT_FALSE(ParseJson("").ok());
  EXPECT_FALSE(ParseJson("Infinity").ok());
}

TEST(Json, DepthIsCappedAndCostsNoStack) {
  EXPECT_TRUE(ParseJson(std::string(64, '[') + std::string(64, ']')).ok());
  EXPECT_FALSE(ParseJson(std::string(65, '[') + std::string(65, ']')).ok());
  EXPECT_FALSE(ParseJson(std::string(1'000'000, '[')).ok());
}

TEST(Json, ValuesAreCountedBeforeTheyCostMemory) {
  const auto zeros = [](std::size_t count) {
    std::string text = "[0";
    for (std::size_t i = 1; i < count; ++i) text += ",0";
    return ParseJson(text + "]");
  };
  constexpr std::size_t kMost = std::size_t{4} << 20;  // the list itself is one
  EXPECT_TRUE(zeros(kMost - 1).ok());
  EXPECT_EQ(zeros(kMost + 1).status().message(),
            "1:8388610: not valid JSON: more than 4194304 values");
}

TEST(Json, BombsAreRefusedOrReadAsTheyAre) {
  const auto error = [](const std::string& text) {
    const auto value = ParseJson(text);
    return value.ok() ? "taken" : value.status().message();
  };
  EXPECT_NE(error(std::string(10'000'000, '9')).find("too big"), std::string::npos);
  EXPECT_EQ(error("0." + std::string(10'000'000, '9')), "taken");
  EXPECT_NE(error(R"("\ud800")").find("surrogate"), std::string::npos);
  EXPECT_NE(error(R"("\udc00\ud800")").find("surrogate"), std::string::npos);
  EXPECT_NE(error(std::string("\"a\0b\"", 5)), "taken");
  EXPECT_EQ(ParseJson(R"("a\u0000b")")->as_string(), std::string("a\0b", 3));
  std::string members = "{";
  for (int i = 0; i < 100'000; ++i) members += "\"" + std::to_string(i) + "\":0,";
  EXPECT_NE(error(members + "\"77\":0}").find("duplicate key \"77\""), std::string::npos);
}

TEST(Json, InfinityWhereAllowed) {
  const auto value = ParseJson("[0.0, Infinity]", {.allow_nonfinite = true});
  ASSERT_TRUE(value.ok());
  EXPECT_EQ(value->as_array()[1].as_double(), std::numeric_limits<double>::infinity());
}

TEST(Text, InvalidUtf8IsReplacedAsPythonDoes) {
  EXPECT_EQ(ReplaceInvalidUtf8("a\xE2\x82z"), "a\xEF\xBF\xBDz");  // one part of a 3-byte form
  EXPECT_EQ(ReplaceInvalidUtf8("\xED\xA0\x80"),
            "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");  // surrogate
  EXPECT_EQ(CountCodePoints("h\xC3\xA9\xF0\x9F\x98\x80"), 3u);
  EXPECT_EQ(VisibleText("a\x1b[0m"), "a\\u{1b}[0m");
  EXPECT_EQ(NearestWord("gms8k", {"mmlu", "gsm8k"}), "gsm8k");
  EXPECT_EQ(NearestWord("zzzzzz", {"mmlu", "gsm8k"}), "");
}

}  // namespace
}  // namespace h1bench
