// What a report warns about: each warning comes when its cause is there, and in every format.
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "base/sha256.h"
#include "reports/render/render.h"

namespace h1bench::reports {
namespace {

constexpr std::int64_t kBos = 17;

/// One answered and scored document.
struct Answered {
  ResponseRow response;
  ScoreRow score;
};

class WarningsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              ("h1bench-warnings-" +
               std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    std::filesystem::remove_all(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  /// `change` makes a good answer what the test is about.
  Report Build(const std::string& options_json, int samples,
               const std::function<void(int, Answered&)>& change,
               const std::string& more_describe = "") {
    auto store = std::move(
        *Store::Open(folder_ / (std::to_string(stores_++) + ".db"), Store::Mode::kReadWrite));
    std::vector<VariantRow> variants(1);
    variants[0].model_name = "m";
    variants[0].precision = "bf16";
    variants[0].max_length = 256;
    variants[0].config_json = R"({"bos_token_id": 17})";
    std::vector<RunTaskRow> tasks(1);
    tasks[0].name = tasks[0].task = "gsm8k";
    tasks[0].options_json = options_json;
    tasks[0].describe_json = R"({"kind":"generate_until","primary":"match","metrics":["match"],)"
                             R"("headline":"micro","protocol":"p")" +
                             more_describe + "}";
    const auto run = store->CreateRun({}, variants, tasks, [&](const auto& add) -> Status {
      for (int i = 0; i < samples; ++i) {
        SampleRow row;
        row.variant_id = variants[0].id;
        row.run_task_id = tasks[0].id;
        row.index = i;
        row.prompt_sha256 = Sha256Hex("");
        row.request_key = std::to_string(i);
        H1_RETURN_IF_ERROR(add(row));
      }
      return Status::Ok();
    });
    EXPECT_TRUE(store->RecordWorker(*run, "w", "one", "{}").ok());
    std::vector<std::int64_t> ids;
    for (const SampleRow& row : *store->PendingSamples(*run)) ids.push_back(row.id);
    std::vector<std::pair<std::int64_t, ResponseRow>> responses;
    std::vector<ScoreRow> scores;
    for (int i = 0; i < samples; ++i) {
      Answered one;
      one.response.key = std::to_string(i);
      one.response.text = "text";
      one.response.finish = "stop";
      one.response.first_ids = {5, 6};
      one.score.sample_id = ids[static_cast<std::size_t>(i)];
      one.score.extracted = "18";
      one.score.scores = {{"match", 1.0}};
      change(i, one);
      responses.emplace_back(one.score.sample_id, one.response);
      scores.push_back(one.score);
    }
    if (samples > 0) {
      const auto grant = store->GrantLease(*run, "w", "one", ids);
      EXPECT_TRUE(
          store->SubmitResponses(grant->lease_id, grant->attempt, "one", responses, true).ok());
      EXPECT_TRUE(store->InsertScores(scores).ok());
    }
    auto report = BuildReport(*store, 0, {});
    EXPECT_TRUE(report.ok()) << report.status().message();
    return std::move(report).value();
  }

  /// The only warning of a report, which all formats show; "" when there is none.
  static std::string Only(const Report& report) {
    EXPECT_LE(report.warnings.size(), 1U);
    EXPECT_EQ(report.tasks[0].warnings, report.warnings);  // in its task's section, too
    if (report.warnings.empty()) return "";
    const std::string part = report.warnings[0].substr(0, 30);  // without marks to escape
    for (const std::string& text : {RenderMarkdown(report), RenderHtml(report), RenderJson(report),
                                    RenderTerminal(report, false)})
      EXPECT_NE(text.find(part), std::string::npos) << text;
    return report.warnings[0];
  }

  std::filesystem::path folder_;
  int stores_ = 0;
};

TEST_F(WarningsTest, NoneWithoutACause) {
  EXPECT_EQ(Only(Build("{}", 3, [](int, Answered&) {})), "");
}

TEST_F(WarningsTest, AllEmptyAndNotSome) {
  const auto empty = [](int, Answered& one) { one.response.text.clear(); };
  EXPECT_EQ(Only(Build("{}", 3, empty)),
            "m bf16 on gsm8k: 3 of 3 responses are empty: look at a stop string, and try `bos: "
            "once`: no BOS was asked for");
  EXPECT_EQ(Only(Build("{}", 3, [&](int i, Answered& one) { i > 0 ? empty(i, one) : void(); })),
            "");
  // Those that the engine could not answer are no excuse for the others.
  const Report report = Build("{}", 3, [&](int i, Answered& one) {
    empty(i, one);
    if (i == 0) one.response.error = "too long";
  });
  ASSERT_EQ(report.warnings.size(), 2U);
  EXPECT_NE(report.warnings[1].find("2 of 3 responses are empty"), std::string::npos);
}

TEST_F(WarningsTest, AllInvalidAndNotSome) {
  const auto invalid = [](int, Answered& one) { one.score.extracted = "[invalid]"; };
  EXPECT_NE(Only(Build("{}", 2, invalid)).find("2 of 2 answers are invalid"), std::string::npos);
  EXPECT_EQ(Only(Build("{}", 2, [&](int i, Answered& one) { i > 0 ? invalid(i, one) : void(); })),
            "");
}

TEST_F(WarningsTest, AllCutAtTheTokenLimit) {
  const auto cut = [](int, Answered& one) { one.response.finish = "length"; };
  EXPECT_NE(Only(Build("{}", 2, cut)).find("2 of 2 responses were cut at max_new_tokens"),
            std::string::npos);
  EXPECT_EQ(Only(Build("{}", 2, [&](int i, Answered& one) { i > 0 ? cut(i, one) : void(); })), "");
  EXPECT_EQ(Only(Build("{}", 2, cut, R"(,"by_length":{"lengths":[128],"threshold":85.6})")), "");
}

TEST_F(WarningsTest, TruncatedPromptsAreCounted) {
  const Report report =
      Build("{}", 3, [](int i, Answered& one) { one.response.truncated_tokens = i == 1 ? 40 : 0; });
  EXPECT_EQ(Only(report),
            "m bf16 on gsm8k: 1 of 3 prompts were cut on the left to fit the context");
  EXPECT_EQ(report.samples[1].truncated_tokens, 40);
}

TEST_F(WarningsTest, DoubleBos) {
  const auto twice = [](int i, Answered& one) {
    one.response.first_ids = {kBos, i == 0 ? static_cast<std::int32_t>(kBos) : 5};
  };
  EXPECT_NE(Only(Build("{}", 3, twice)).find("1 of 3 prompts begin with BOS twice"),
            std::string::npos);
}

TEST_F(WarningsTest, MissingBosWhereItIsAskedFor) {
  const auto some = [](int i, Answered& one) {
    if (i > 0) one.response.first_ids = {kBos, 5};
  };
  for (const char* options : {R"({"bos":"once"})", R"({"chat":"multiturn"})"})
    EXPECT_NE(Only(Build(options, 3, some)).find("1 of 3 prompts lack the BOS"), std::string::npos);
  EXPECT_EQ(Only(Build("{}", 3, some)), "");
  EXPECT_EQ(Only(Build(R"({"bos":"none"})", 3, some)), "");
}

TEST_F(WarningsTest, RegexAtItsLimit) {
  EXPECT_NE(
      Only(Build("{}", 2,
                 [](int i, Answered& one) { one.score.verdict = i == 0 ? "regex_limit" : ""; }))
          .find("1 of 2 responses count as wrong: a filter"),
      std::string::npos);
}

TEST_F(WarningsTest, OptionsAreRecorded) {
  const Report report = Build(R"({"bos":"none","shots":3})", 1, [](int, Answered&) {});
  const Json json = std::move(ParseJson(RenderJson(report))).value();
  EXPECT_EQ(WriteJson(*json.Find("tasks")->as_array()[0].Find("options")),
            R"({"bos":"none","shots":3})");
}

// No room for an answer is no zero, and every format says why.
TEST_F(WarningsTest, NoRoomIsNotAvailable) {
  const auto nothing = [](int, Answered&) {};
  const Report report = Build("{}", 0, nothing, R"(,"max_new_tokens":256)");
  const std::string reason = "answers of up to 256 tokens are beyond its limit of 256";
  EXPECT_EQ(report.variants[0].cells[0].missing_reason, reason);
  EXPECT_FALSE(report.variants[0].average.has_value());
  for (const std::string& text : {RenderMarkdown(report), RenderHtml(report), RenderJson(report),
                                  RenderTerminal(report, false)})
    EXPECT_NE(text.find(reason), std::string::npos) << text;
  EXPECT_EQ(Build("{}", 0, nothing, R"(,"max_new_tokens":255)").variants[0].cells[0].missing_reason,
            "no samples planned");
}

}  // namespace
}  // namespace h1bench::reports
