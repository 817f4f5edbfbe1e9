// Names of runs: short, stable, and which run somebody means.
#include "harness/store/run_names.h"

#include <gtest/gtest.h>

#include <set>

namespace h1bench {
namespace {

std::vector<RunRow> Rows(std::int64_t count) {
  std::vector<RunRow> rows;
  for (std::int64_t i = 1; i <= count; ++i) {
    RunRow& row = rows.emplace_back();
    row.id = i;
    row.suite_text = "name: a\n";
    row.created_unix_ms = 1'700'000'000'000;
  }
  return rows;
}

TEST(RunNames, UniqueAndBeginWithALetter) {
  // Some of 2 000 hashes share four characters (6 · 16³ beginnings): those names are longer.
  const std::vector<std::string> names = NameRuns(Rows(2000));
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
  std::size_t longest = 0;
  for (const std::string& name : names) {
    EXPECT_GE(name.size(), 4U);
    EXPECT_TRUE(name[0] >= 'a' && name[0] <= 'f') << name;
    longest = std::max(longest, name.size());
  }
  EXPECT_GT(longest, 4U);
  EXPECT_LT(longest, 10U);
}

TEST(RunNames, LaterRunsChangeNoName) {
  const std::vector<std::string> all = NameRuns(Rows(2000)), some = NameRuns(Rows(300));
  EXPECT_TRUE(std::equal(some.begin(), some.end(), all.begin()));
}

TEST(RunNames, AreOfTheContent) {
  std::vector<RunRow> rows = Rows(1);
  const std::string name = NameRuns(rows)[0];
  rows[0].wall_seconds = 7;
  rows[0].state = "finished";
  EXPECT_EQ(NameRuns(rows)[0], name);
  rows[0].suite_text += "#";
  EXPECT_NE(NameRuns(rows)[0], name);
}

const std::vector<std::pair<std::int64_t, std::string>>& Three() {
  static const std::vector<std::pair<std::int64_t, std::string>> runs = {
      {1, "d3ab"}, {2, "d3abc"}, {12, "f00d"}};
  return runs;
}

TEST(RunNames, MatchNamesBeginningsAndNumbers) {
  const auto place = [](const std::string& which) { return *MatchRun(Three(), which, "x.db"); };
  EXPECT_EQ(place(""), 2U);  // the newest
  EXPECT_EQ(place("f"), 2U);
  EXPECT_EQ(place("d3abc"), 1U);
  EXPECT_EQ(place("d3ab"), 0U);  // whole, though another begins with it
  EXPECT_EQ(place("1"), 0U);     // a number is meant whole: not 12
  EXPECT_EQ(place("12"), 2U);
}

TEST(RunNames, ErrorsSayWhatThereIs) {
  const Status none = MatchRun(Three(), "abba", "x.db").status();
  EXPECT_EQ(none.code(), StatusCode::kNotFound);
  EXPECT_EQ(none.message(),
            "x.db: there is no run abba. Its runs, newest first: f00d (12), d3abc (2), d3ab (1)");
  EXPECT_EQ(MatchRun(Three(), "3", "x.db").status().code(), StatusCode::kNotFound);
  const Status several = MatchRun(Three(), "d3", "x.db").status();
  EXPECT_EQ(several.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(several.message(), "x.db: several runs begin with d3: d3abc (2), d3ab (1)");
  EXPECT_NE(MatchRun({}, "", "x.db").status().message().find("holds no run yet"),
            std::string::npos);
}

}  // namespace
}  // namespace h1bench
