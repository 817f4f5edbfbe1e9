// The suite file: what a good one means, and what each bad one is told.
#include "harness/suite/suite.h"

#include <gtest/gtest.h>

#include "tests/paths.h"

namespace h1bench {
namespace {

constexpr const char* kGood = R"(name: sizes-and-precisions
models:
  - path: /models/Falcon-H1-0.5B-Base
    precisions: [bf16, fp32]
    max_length: 2048
  - {path: here/other, name: small}
tasks:
  - mmlu
  - {task: gsm8k, limit: 200, max_new_tokens: 256}
  - {task: mmlu, name: mmlu-quick, subjects: [anatomy, virology], shots: 5, limit: 20}
seed: 99
)";

constexpr const char* kHead = "models: [{path: /m/x}]\ntasks:\n  - ";

TEST(Suite, ParitySwitchesAreKeptAndChecked) {
  const auto suite = ParseSuite(
      std::string(kHead) + "{task: mmlu, mmlu_prompt: original, mmlu_average: macro}\n", "s.yaml");
  ASSERT_TRUE(suite.ok()) << suite.status().message();
  EXPECT_EQ(WriteJson(suite->tasks[0].options),
            R"({"mmlu_prompt":"original","mmlu_average":"macro"})");
  const auto bad =
      ParseSuite(std::string(kHead) + "{task: mmlu, mmlu_average: median}\n", "s.yaml");
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.status().message(),
            "s.yaml:3:32: mmlu_average: expected micro or macro or lm-eval, found \"median\"");
}

TEST(Suite, GoodOneIsReadWhole) {
  const auto suite = ParseSuite(kGood, "/folder/sizes.yaml");
  ASSERT_TRUE(suite.ok()) << suite.status().message();
  EXPECT_EQ(suite->name, "sizes-and-precisions");
  EXPECT_EQ(suite->seed, 99);
  ASSERT_EQ(suite->models.size(), 2U);
  EXPECT_EQ(suite->models[0].name, "Falcon-H1-0.5B-Base");
  EXPECT_EQ(suite->models[0].precisions, (std::vector<std::string>{"bf16", "fp32"}));
  EXPECT_EQ(suite->models[0].max_length, 2048);
  EXPECT_EQ(suite->models[1].path, "/folder/here/other");
  EXPECT_EQ(suite->models[1].precisions, (std::vector<std::string>{"bf16"}));
  ASSERT_EQ(suite->tasks.size(), 3U);
  EXPECT_EQ(suite->tasks[0].name, "mmlu");
  EXPECT_EQ(suite->tasks[1].options.Find("limit")->as_int(), 200);
  EXPECT_EQ(suite->tasks[2].name, "mmlu-quick");
  EXPECT_EQ(suite->tasks[2].task, "mmlu");
  EXPECT_EQ(suite->tasks[2].options.Find("subjects")->as_array().size(), 2U);
  EXPECT_EQ(suite->text, kGood);
}

TEST(Suite, TheDemoIsOne) {
  const auto suite = LoadSuite(testing::SourceDir() / "demo/suite.yaml");
  ASSERT_TRUE(suite.ok()) << suite.status().message();
  EXPECT_EQ(suite->models.size(), 2U);
  EXPECT_EQ(suite->data, testing::SourceDir() / "demo/data");
  EXPECT_NE(suite->description.find("toy"), std::string::npos);
}

/// A suite with one model and these tasks.
std::string WithTasks(const std::string& tasks) {
  return "models: [{path: /m}]\ntasks: " + tasks + "\n";
}
std::string WithModel(const std::string& model) {
  return "models: [" + model + "]\ntasks: [mmlu]\n";
}

std::string Letters(int count) {
  std::string out = "a";
  while (--count > 0) out += ",a";
  return out;
}

TEST(Suite, BadOnesAreToldWhereAndWhy) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", " the file is empty. docs/suite.md shows a suite."},
      {"- a\n", "1:1: suite: expected a mapping, found a list"},
      {"models: [{path: /m}]\n", "1:1: the key \"tasks\" is missing. Example: `tasks: [mmlu]`"},
      {"tasks: [mmlu]\n",
       "1:1: the key \"models\" is missing. Example: `models: [{path: "
       "/models/Falcon-H1-0.5B-Base}]`"},
      {"models: []\ntasks: [mmlu]\n",
       "1:9: models: expected a list with at least one model, found a list"},
      {"model: []\n",
       "1:1: suite: unknown key \"model\". Did you mean \"models\"? Known: name description models "
       "tasks seed data"},
      {"seed: 1\nseed: 2\n", "2:1: suite: the key \"seed\" is there twice"},
      {"name: a/b\n" + WithTasks("[mmlu]"),
       "1:7: name: expected letters, digits, - _ . + (at most 100), found \"a/b\""},
      {"seed: -1\n" + WithTasks("[mmlu]"),
       "1:7: seed: expected a whole number from 0 to 1000000000, found \"-1\""},
      {"seed: 1.5\n" + WithTasks("[mmlu]"),
       "1:7: seed: expected a whole number from 0 to 1000000000, found \"1.5\""},
      {WithModel("{name: x}"),
       "1:10: models: the key \"path\" is missing: the folder of a checkpoint"},
      {WithModel("/m"), "1:10: models: expected a mapping, found \"/m\""},
      {WithModel("{path: /m, precisions: [int3]}"),
       "1:34: precisions: expected one of bf16 fp32, found \"int3\""},
      {WithModel("{path: /m, precisions: [bf16, bf16]}"),
       "1:40: precisions: expected different items, found \"bf16\""},
      {WithModel("{path: /m, precisions: bf16}"),
       "1:33: precisions: expected a list with at least one item, found \"bf16\""},
      {WithModel("{path: /m, max_length: 1}"),
       "1:33: max_length: expected a whole number from 2 to 1048576, found \"1\""},
      {WithModel("{path: /m}, {path: /n/m}"),
       "1:22: models: the name \"m\" is there twice. Give one of them another `name`."},
      {WithModel("{path: /m, precision: [bf16]}"),
       "1:21: models: unknown key \"precision\". Did you mean \"precisions\"? Known: name path "
       "precisions max_length"},
      {WithTasks("[gms8k]"),
       "2:9: unknown task \"gms8k\". Did you mean \"gsm8k\"? Known: gsm8k gsm8k_cot helmet "
       "humaneval "
       "humaneval_instruct humanevalplus humanevalplus_chat mmlu niah ruler, or a task file that "
       "ends in .yaml"},
      {WithTasks("[mmlu, mmlu]"),
       "2:15: tasks: the name \"mmlu\" is there twice. Give one of them another `name`."},
      {WithTasks("[{name: x}]"), "2:9: tasks: the key \"task\" is missing"},
      {WithTasks("[{task: gsm8k, limit: 0}]"),
       "2:30: limit: expected a whole number from 1 to 1000000000, found \"0\""},
      {WithTasks("[{task: gsm8k, limit: many}]"),
       "2:30: limit: expected a whole number from 1 to 1000000000, found \"many\""},
      {WithTasks("[{task: gsm8k, temperature: nan}]"),
       "2:36: temperature: expected a number from 0 to 100, found \"nan\""},
      {WithTasks("[{task: mmlu, subjects: anatomy}]"),
       "2:32: subjects: expected a list with at least one item, found \"anatomy\""},
      {WithTasks("[{task: niah, depths: [50, 101]}]"),
       "2:35: depths: expected a number from 0 to 100, found \"101\""},
      {"a: &x 1\n" + WithTasks("[mmlu]"), "1:4: anchors (&name) are not allowed"},
      {"name: !!binary aaaa\n" + WithTasks("[mmlu]"), "1:7: tags (!name) are not allowed"},
      {WithTasks("[mmlu]") + "---\nname: b\n",
       " expected one YAML document, found another after ---"},
      {"name: \xff\n", " expected UTF-8 text"},
      {"name: [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]\n", "1:22: expected at most 16 levels"},
      {"name: [" + Letters(100'000) + "]\n", "1:200002: expected at most 100000 values"},
      {std::string((1 << 20) + 1, 'a'), " expected at most 1 MiB of YAML, found 1048577 bytes"},
  };
  for (const auto& [text, message] : cases) {
    const auto suite = ParseSuite(text, "s.yaml");
    ASSERT_FALSE(suite.ok()) << text.substr(0, 200);
    EXPECT_EQ(suite.status().message(), "s.yaml:" + message) << text.substr(0, 200);
    EXPECT_EQ(suite.status().code(), StatusCode::kInvalidArgument);
  }
}

TEST(Suite, TaskFilesStandWhereNamesDo) {
  const auto suite = ParseSuite(
      WithTasks("[my/arc.yaml, {task: /abs/arc.yml, name: other, shots: 3}, mmlu]"), "/f/s.yaml");
  ASSERT_TRUE(suite.ok()) << suite.status().message();
  EXPECT_EQ(suite->tasks[0].name, "arc");
  EXPECT_EQ(suite->tasks[0].task, "custom");
  EXPECT_EQ(WriteJson(suite->tasks[0].options), R"({"file":"/f/my/arc.yaml"})");
  EXPECT_EQ(suite->tasks[1].name, "other");
  EXPECT_EQ(WriteJson(suite->tasks[1].options), R"({"file":"/abs/arc.yml","shots":3})");
  EXPECT_EQ(suite->tasks[2].task, "mmlu");
  const auto refused = [](const std::string& tasks) {
    return ParseSuite(WithTasks(tasks), "s.yaml").status().message();
  };
  EXPECT_EQ(refused("[a.yaml, b/a.yaml]"),
            "s.yaml:2:17: tasks: the name \"a\" is there twice. Give one of them another `name`.");
  EXPECT_EQ(refused("[\"a b.yaml\"]"),
            "s.yaml:2:9: tasks: the file's name \"a b\" cannot be used as a name. Add `name`.");
  EXPECT_EQ(refused("[{task: mmlu, file: a.yaml}]").substr(0, 39),
            "s.yaml:2:22: tasks: unknown key \"file\".");
  EXPECT_EQ(refused("[custom]").substr(0, 34), "s.yaml:2:9: unknown task \"custom\".");
}

TEST(Suite, BrokenYamlNamesThePlace) {
  const auto suite = ParseSuite("name: [a\nmodels: }\n", "s.yaml");
  ASSERT_FALSE(suite.ok());
  EXPECT_EQ(suite.status().message().substr(0, 9), "s.yaml:2:") << suite.status().message();
}

}  // namespace
}  // namespace h1bench
