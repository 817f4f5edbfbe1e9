// Task files through whole commands with real processes: run with workers, resume, grade, prompts.
#include <gtest/gtest.h>

#include <map>

#include "base/json.h"
#include "base/sha256.h"
#include "base/text.h"
#include "tests/cli/run_process.h"
#include "tests/paths.h"

namespace h1bench {
namespace {

namespace fs = std::filesystem;
using testing::Program;
using testing::ReadText;

/// A copy of demo/tasks, so that files can change.
class SlowCustomRun : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "h1bench-custom-run-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    fs::copy(testing::SourceDir() / "demo/tasks", folder_ / "tasks", fs::copy_options::recursive);
    for (const auto& entry : fs::directory_iterator(folder_ / "tasks"))
      fs::permissions(entry.path(), fs::perms::owner_all, fs::perm_options::add);
    fs::create_directory(folder_ / "models");
    fs::create_directory_symlink(testing::SourceDir() / "demo/models/toy", folder_ / "models/toy");
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string Path(const std::string& name) const { return (folder_ / name).string(); }
  /// Standard output; the exit code must be `code`. Standard error goes to errors_.
  std::string Run(const std::vector<std::string>& arguments, int code = 0) {
    Program program(folder_, "program", arguments);
    EXPECT_EQ(program.Wait(), code) << program.err();
    errors_ = program.err();
    return program.out();
  }
  Json RunSuite(const std::string& db, const std::vector<std::string>& more) {
    std::vector<std::string> all = {
        "run", Path("tasks/suite.yaml"), "--db", Path(db), "--json", "--progress", "none"};
    all.insert(all.end(), more.begin(), more.end());
    const auto json = ParseJson(Run(all));
    EXPECT_TRUE(json.ok());
    return json.ok() ? *json : Json();
  }
  std::vector<Json> Samples(const std::string& db) {
    std::vector<Json> rows;
    const std::string text = Run({"samples", "--db", Path(db)});
    for (const std::string_view line : SplitLines(text))
      if (!line.empty()) rows.push_back(*ParseJson(line));
    return rows;
  }

  fs::path folder_;
  std::string errors_;
};

TEST_F(SlowCustomRun, IsTheSameWhateverTheWorkers) {
  const Json one = RunSuite("one.db", {"--workers", "1"});
  const Json three = RunSuite("three.db", {"--workers", "3", "--batch", "2"});
  EXPECT_EQ(one.Find("results_digest")->as_string().size(), 64U);
  EXPECT_EQ(*one.Find("results_digest"), *three.Find("results_digest"));
  std::map<std::string, std::int64_t> scored;
  for (const Json& cell : one.Find("cells")->as_array())
    scored[cell.Find("task")->as_string()] = cell.Find("scored")->as_int();
  EXPECT_EQ(scored, (std::map<std::string, std::int64_t>{
                        {"arc-challenge", 6}, {"hellaswag", 5}, {"trivia", 4}}));
  // What was asked is what `prompts` prints, and what was answered is graded the same.
  const std::string printed = Run({"prompts", Path("tasks/arc-challenge.yaml"), "--sha256"});
  std::map<std::string, std::vector<Json>> by_task;
  for (const Json& sample : Samples("one.db")) {
    by_task[sample.Find("task")->as_string()].push_back(sample);
    if (sample.Find("task")->as_string() != "arc-challenge") continue;
    EXPECT_NE(printed.find(sample.Find("prompt_sha256")->as_string()), std::string::npos);
  }
  for (const auto& [task, file] : {std::pair("arc-challenge", "tasks/arc-challenge.yaml"),
                                   {"trivia", "tasks/triviaqa.yaml"}}) {
    std::string responses, expected;
    for (const Json& sample : by_task[task]) {
      Json row, line;
      row.Set("task_id", *sample.Find("task_id"));
      line.Set("task_id", *sample.Find("task_id")).Set("scores", *sample.Find("scores"));
      for (const char* key : {"response", "loglikelihoods"})
        if (const Json* value = sample.Find(key)) row.Set(key, *value);
      responses += WriteJson(row) + "\n";
      expected += WriteJson(line) + "\n";
    }
    std::ofstream(folder_ / "responses.jsonl") << responses;
    EXPECT_EQ(Run({"grade", Path(file), Path("responses.jsonl")}), expected);
  }
}

TEST_F(SlowCustomRun, ResultsSeeTheTaskFileAndResumeRefusesAnother) {
  const Json before = RunSuite("before.db", {"--engine", "null"});
  std::ofstream(folder_ / "tasks/hellaswag.yaml", std::ios::app) << "# a remark\n";
  const Json after = RunSuite("after.db", {"--engine", "null"});
  EXPECT_NE(*before.Find("results_digest"), *after.Find("results_digest"));
  {
    Program paused(folder_, "paused",
                   {"run", Path("tasks/suite.yaml"), "--db", Path("paused.db"), "--engine", "null",
                    "--null-delay-ms", "500", "--progress", "none"});
    EXPECT_TRUE(testing::WaitUntil([&] { return !paused.Workers().empty(); }, 60));
    paused.Signal(SIGINT);
    EXPECT_EQ(paused.Wait(), 130) << paused.err();
  }
  const std::vector<std::string> resume = {
      "resume", "1", "--db", Path("paused.db"), "--json", "--progress", "none", "--engine", "null"};
  std::ofstream(folder_ / "tasks/hellaswag-train.jsonl", std::ios::app)
      << R"({"activity_label":"x","ctx_a":"y","ctx_b":"z","endings":["a","b"],"label":0})"
      << "\n";
  Run(resume, 2);
  EXPECT_NE(errors_.find("task hellaswag: the data of " + Path("tasks/hellaswag.yaml") +
                         " changed since the run was planned"),
            std::string::npos)
      << errors_;
  fs::copy(testing::SourceDir() / "demo/tasks/hellaswag-train.jsonl", folder_ / "tasks",
           fs::copy_options::overwrite_existing);
  const auto resumed = ParseJson(Run(resume));
  ASSERT_TRUE(resumed.ok());
  EXPECT_EQ(*resumed->Find("results_digest"), *after.Find("results_digest"));
}

TEST_F(SlowCustomRun, AHitWorkLimitIsAVerdictInTheReport) {
  std::string yaml = ReadText(folder_ / "tasks/triviaqa.yaml");
  const std::string filter = R"({regex: '^\s+', with: ""})";
  ASSERT_NE(yaml.find(filter), std::string::npos);
  yaml.replace(yaml.find(filter), filter.size(),
               "{find: '(*LIMIT_MATCH=0)(*NO_START_OPT)(?:a|.)*b'}");
  std::ofstream(folder_ / "tasks/triviaqa.yaml") << yaml;
  RunSuite("limit.db", {});
  for (const Json& sample : Samples("limit.db")) {
    if (sample.Find("task")->as_string() != "trivia") continue;
    EXPECT_EQ(sample.Find("verdict")->as_string(), "regex_limit");
    EXPECT_EQ(sample.Find("scores")->Find("exact_match")->as_double(), 0);
  }
  const std::string report = Run({"report", "--db", Path("limit.db"), "--format", "json"});
  EXPECT_NE(report.find("4 of 4 responses count as wrong: a filter's expression did too much work "
                        "(regex_limit)"),
            std::string::npos)
      << report;
}

TEST_F(SlowCustomRun, ABadFileStopsBeforeAnythingStarts) {
  std::ofstream(folder_ / "tasks/triviaqa.yaml", std::ios::app) << "stop: [x]\n";
  Run({"run", Path("tasks/suite.yaml"), "--db", Path("bad.db")}, 2);
  EXPECT_NE(errors_.find("suite.yaml:9: task trivia: " + Path("tasks/triviaqa.yaml") +
                         ":16:1: task: unknown key \"stop\". Did you mean \"stops\"?"),
            std::string::npos)
      << errors_;
  EXPECT_FALSE(fs::exists(folder_ / "bad.db"));
}

}  // namespace
}  // namespace h1bench
