// Which documents the sample viewer shows, and how their prompts are kept.
#include "reports/build/shown.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>

namespace h1bench::reports {
namespace {

constexpr std::int64_t kDocuments = 100;

/// Two models on one task of 100 documents: the first has every third wrong, the second every
/// fifth.
bool Right(std::size_t variant, std::int64_t index) { return index % (variant == 0 ? 3 : 5) != 0; }

class ShownTest : public ::testing::Test {
 protected:
  ShownTest() {
    report_.tasks.resize(1);
    report_.tasks[0].primary = "match";
    report_.variants.resize(2);
  }

  /// The report with what is shown. `prompt`: of a document.
  Report Build(std::size_t documents, const std::function<std::string(std::int64_t)>& prompt) {
    options_.documents_per_task = documents;
    ShownSamples shown(report_, options_);
    for (const bool take : {false, true}) {
      for (std::size_t v = 0; v < 2; ++v) {
        for (std::int64_t i = 0; i < kDocuments; ++i) {
          SampleRow row;
          row.subset = i < 50 ? "a" : "b";
          row.index = i;
          row.prompt = prompt(i);
          row.prompt_sha256 = row.prompt;
          ResponseRow response;
          response.text = std::to_string(v);
          ScoreRow score;
          score.scores = {{"other", 1.0}, {"match", Right(v, i) ? 1.0 : 0.0}};
          if (take) {
            shown.Take(v, 0, row, &response, &score);
          } else {
            shown.Note(v, 0, row, &score);
          }
        }
      }
      if (!take) shown.Choose();
    }
    Report report = report_;
    shown.MoveInto(report);
    return report;
  }

  Report report_;
  ReportOptions options_;
};

std::string Number(std::int64_t i) { return "prompt " + std::to_string(i); }

TEST_F(ShownTest, EveryDocumentWithEveryModelSideBySide) {
  const Report report = Build(500, Number);
  ASSERT_EQ(report.samples.size(), 200U);
  EXPECT_EQ(report.prompts.size(), 100U);
  for (std::size_t i = 0; i < report.samples.size(); ++i) {
    const ReportSample& one = report.samples[i];
    EXPECT_EQ(one.index, static_cast<std::int64_t>(i / 2));
    EXPECT_EQ(one.variant, i % 2);
    EXPECT_EQ(one.response, std::to_string(i % 2));
    EXPECT_EQ(one.differ, Right(0, one.index) != Right(1, one.index));
    EXPECT_EQ(report.prompts[one.prompt].text, Number(one.index));
  }
}

// 100 documents: 40 on which the models differ, 7 both wrong, 53 both right.
TEST_F(ShownTest, DisagreementFirstAndSomeOfEachFromTheWholeTask) {
  const Report report = Build(20, Number);
  std::set<std::int64_t> differ, wrong, right;
  for (const ReportSample& one : report.samples)
    (one.differ ? differ : one.score == 1.0 ? right : wrong).insert(one.index);
  EXPECT_EQ(differ.size(), 10U);
  EXPECT_EQ(wrong.size(), 5U);
  EXPECT_EQ(right.size(), 5U);
  EXPECT_LT(*differ.begin(), 10);
  EXPECT_GT(*differ.rbegin(), 80);
  EXPECT_GT(*wrong.rbegin(), 70);
  EXPECT_GT(*right.rbegin(), 70);
  // Of 60 a quarter are 15, but only 7 are wrong: the room goes to the others.
  EXPECT_EQ(Build(60, Number).samples.size(), 2U * 60);
  EXPECT_EQ(Build(0, Number).samples.size(), 0U);
}

TEST_F(ShownTest, PromptsShareWhatTheyBeginWith) {
  const std::string shots(300, 's');
  const Report report = Build(500, [&](std::int64_t i) {
    return (i < 50 ? shots + "\nQ: " : std::string("Q: ")) + Number(i);
  });
  ASSERT_EQ(report.prefixes, std::vector<std::string>{shots + "\n"});
  for (const ReportSample& one : report.samples) {
    const ReportPrompt& prompt = report.prompts[one.prompt];
    EXPECT_EQ(prompt.prefix.has_value(), one.subset == "a");
    EXPECT_EQ(prompt.text, "Q: " + Number(one.index));
  }
}

// The question stands at the end of a long prompt: the middle is what goes.
TEST_F(ShownTest, LongPromptsLoseTheirMiddle) {
  options_.sample_bytes = 100;
  const Report report = Build(1, [](std::int64_t) {
    return "BEGIN" + std::string(1000, 'x') + "\xC3\xA9\xC3\xA9" + std::string(46, 'y') + "END";
  });
  ASSERT_EQ(report.prompts.size(), 1U);
  EXPECT_TRUE(report.prompts[0].cut);
  const std::string& text = report.prompts[0].text;
  EXPECT_EQ(text.substr(0, 50), "BEGIN" + std::string(45, 'x'));
  EXPECT_EQ(text.substr(text.size() - 50), "\n" + std::string(46, 'y') + "END");
  EXPECT_NE(text.find("959 bytes left out"), std::string::npos) << text;
  EXPECT_EQ(text.find('\xA9'), std::string::npos);
}

}  // namespace
}  // namespace h1bench::reports
