// Task files and data that are refused, each with the whole message.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/tasks/custom_fixture.h"

namespace h1bench::tasks {
namespace {

class CustomErrors : public CustomFixture {
 protected:
  /// What a task file is told; its folder is left out.
  std::string Refusal(const std::string& yaml, const TaskOptions& options = {}) const {
    const auto task = TryLoad(yaml, options);
    EXPECT_FALSE(task.ok()) << yaml;
    if (task.ok()) return "";
    std::string message = task.status().message();
    const std::string folder = folder_.string() + "/";
    for (std::size_t at; (at = message.find(folder)) != std::string::npos;)
      message.erase(at, folder.size());
    return message;
  }
};

/// Five good lines; each case replaces one or adds one.
std::string Choose(const std::string& line = "", const std::string& more = "") {
  std::string text;
  for (const std::string good : {"request: multiple_choice", "data: d.jsonl", "prompt: \"{{q}}\"",
                                 "choices: c", "answer: a", "metrics: [acc]"}) {
    const std::string key = good.substr(0, good.find(':') + 1);
    text += (line.starts_with(key) ? line : good) + "\n";
  }
  return text + more;
}
std::string Generate(const std::string& line = "", const std::string& more = "") {
  std::string text;
  for (const std::string good : {"request: generate_until", "data: d.jsonl", "prompt: \"{{q}}\"",
                                 "answer: t", "metrics: [exact_match]"}) {
    const std::string key = good.substr(0, good.find(':') + 1);
    text += (line.starts_with(key) ? line : good) + "\n";
  }
  return text + more;
}

TEST_F(CustomErrors, FilesAreToldWhereAndWhy) {
  Write("d.jsonl", R"({"q":"x","c":["y","z"],"a":1,"t":"z"})");
  ASSERT_NE(Load(Choose()), nullptr);
  ASSERT_NE(Load(Generate()), nullptr);
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "t.yaml: the file is empty. docs/custom-tasks.md shows a task."},
      {"- a\n", "t.yaml:1:1: task: expected a mapping, found a list"},
      {"data: d.jsonl\n",
       "t.yaml:1:1: the key \"request\" is missing. docs/custom-tasks.md shows a task."},
      {Choose("", "promt: x\n"),
       "t.yaml:7:1: task: unknown key \"promt\". Did you mean \"prompt\"? Known: name description "
       "request data system prompt clean choices answer shots stops max_new_tokens filters "
       "answer_filters metrics ignore subset id"},
      {Choose("", "data: e.jsonl\n"), "t.yaml:7:1: task: the key \"data\" is there twice"},
      {Choose("request: rank"),
       "t.yaml:1:10: request: expected one of multiple_choice generate_until, found \"rank\""},
      {Choose("data: d.parquet"),
       "t.yaml:2:7: data: expected a file that ends in .jsonl .jsonl.gz .csv, found \"d.parquet\""},
      {Choose("data: none.jsonl"), "t.yaml:2:7: data: there is no file none.jsonl"},
      {Choose("prompt: \"{{q}\""), "t.yaml:3:9: prompt: \"{{q}\" has no }} behind it"},
      {Choose("prompt: \"{{q|upper}}\""),
       "t.yaml:3:9: prompt: {{q|upper}}: unknown \"upper\". Known: capitalize lower strip"},
      {Choose("prompt: \"{{ }}\""),
       "t.yaml:3:9: prompt: expected a field's name such as question or choices.text, found \" \""},
      {Choose("prompt: \"{{q..x}}\""),
       "t.yaml:3:9: prompt: expected a field's name such as question or choices.text, found "
       "\"q..x\""},
      {Choose("prompt: |\n  {{q}}"),
       "t.yaml:3:9: prompt: expected no white space at its end: a space goes between prompt and "
       "answer. A block that starts with `|-` has none"},
      {Choose("prompt: [a]"), "t.yaml:3:9: prompt: expected a text, found a list"},
      {Choose("prompt: \"{{question}}\""),
       "t.yaml:3:9: prompt: no row of d.jsonl has the field \"question\". The first row has: q c a "
       "t"},
      {Choose("choices: cc"),
       "t.yaml:4:10: choices: no row of d.jsonl has the field \"cc\". Did you mean \"c\"? The "
       "first "
       "row has: q c a t"},
      {Choose("choices: [\"{{q}}\"]"),
       "t.yaml:4:10: choices: expected a field with a list, or a list of 2 to 100 texts, found a "
       "list"},
      {Generate("", "choices: c\n"), "t.yaml:6:10: choices: only multiple_choice has them"},
      {Choose("", "stops: [x]\n"), "t.yaml:7:8: stops: only generate_until has it"},
      {Choose("answer: {labels: c}"), "t.yaml:5:9: answer: the key \"field\" is missing"},
      {Choose("answer: {field: a, from: 1, labels: c}"),
       "t.yaml:5:9: answer: expected `from` (numbers) or `labels`, found both"},
      {Choose("answer: {field: a, from: 2}"),
       "t.yaml:5:26: from: expected a whole number from 0 to 1, found \"2\""},
      {Choose("metrics: [exact_match]"),
       "t.yaml:6:11: metrics: expected one of acc acc_norm acc_bytes, found \"exact_match\""},
      {Choose("metrics: [acc, acc]"),
       "t.yaml:6:16: metrics: expected different items, found \"acc\""},
      {Generate("metrics: []"),
       "t.yaml:5:10: metrics: expected a list with at least one item, found a list"},
      {Generate("", "filters: [{find: \"a(b\"}]\n"),
       "t.yaml:6:18: find: regex \"a(b\": at character 3: missing closing parenthesis"},
      {Generate("", "filters: [{regex: \"[z-a]\", with: x}]\n"),
       "t.yaml:6:19: regex: regex \"[z-a]\": at character 3: range out of order in character "
       "class"},
      {Generate("", "filters: [{regex: a}]\n"),
       "t.yaml:6:11: filters: the key \"with\" is missing: what takes its place"},
      {Generate("", "filters: [{find: a, match: second}]\n"),
       "t.yaml:6:28: match: expected one of first last, found \"second\""},
      {Generate("", "filters: [upper]\n"),
       "t.yaml:6:11: filters: expected strip, lower, {find: REGEX}, {regex: REGEX, with: TEXT} or "
       "{replace: TEXT, with: TEXT}, found \"upper\""},
      {Choose("", "clean: [{find: a}]\n"),
       "t.yaml:7:9: clean: expected strip, lower, {regex: REGEX, with: TEXT} or {replace: TEXT, "
       "with: TEXT}, found a mapping"},
      {Generate("", "ignore: [spaces]\n"),
       "t.yaml:6:10: ignore: expected one of case punctuation articles whitespace, found "
       "\"spaces\""},
      {Generate("", "max_new_tokens: 0\n"),
       "t.yaml:6:17: max_new_tokens: expected a whole number from 1 to 1048576, found \"0\""},
      {Generate("", "shots: {data: d.jsonl}\n"), "t.yaml:6:8: shots: the key \"count\" is missing"},
      {Generate("", "shots: {data: d.jsonl, count: 1}\n"),
       "t.yaml:6:15: shots: 1 asked for, d.jsonl has 1 rows, one of which is the question itself"},
      {Generate("", "shots: {data: d.jsonl, count: 1, draw: last}\n"),
       "t.yaml:6:40: draw: expected one of random first, found \"last\""},
      {Generate("", "id: &x q\n"), "t.yaml:6:5: anchors (&name) are not allowed"},
      {"request: [\n", "t.yaml:2:1: end of sequence flow not found"},
  };
  for (const auto& [yaml, message] : cases) EXPECT_EQ(Refusal(yaml), message) << yaml;
  EXPECT_GE(cases.size(), 15U);
}

TEST_F(CustomErrors, RowsAreToldWhereAndWhy) {
  const std::string good = R"({"q":"x","c":["y","z"],"a":1,"t":["z"]})";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({"c":["y","z"],"a":1})", "d.jsonl:3: the field \"q\" is missing (prompt at t.yaml:3:9)"},
      {R"({"q":["x"],"c":["y","z"],"a":1})",
       "d.jsonl:3: q: expected a text or a number, found array (prompt at t.yaml:3:9)"},
      {R"({"q":null,"c":["y","z"],"a":1})",
       "d.jsonl:3: q: expected a text or a number, found null (prompt at t.yaml:3:9)"},
      {R"({"q":"x","c":"y","a":1})",
       "d.jsonl:3: c: expected a list with at least one item, found string (choices at "
       "t.yaml:4:10)"},
      {R"({"q":"x","c":[],"a":1})",
       "d.jsonl:3: c: expected a list with at least one item, found an empty one (choices at "
       "t.yaml:4:10)"},
      {R"({"q":"x","c":["y"],"a":0})",
       "d.jsonl:3: expected at least two choices, found one (choices at t.yaml:4:10)"},
      {R"({"q":"x","c":["y",""],"a":0})", "d.jsonl:3: a choice is empty (choices at t.yaml:4:10)"},
      {R"({"q":"x","c":["y","z"],"a":2})",
       "d.jsonl:3: a: expected the number of a choice from 0 to 1, found \"2\" (answer at "
       "t.yaml:5:9)"},
      {R"({"q":"x","c":["y","z"],"a":"B"})",
       "d.jsonl:3: a: expected the number of a choice from 0 to 1, found \"B\" (answer at "
       "t.yaml:5:9)"},
      {"{\"q\":", "d.jsonl:3: 1:6: not valid JSON: Invalid value."},
      {"[1]", "d.jsonl:3: expected a JSON object, found array"},
  };
  for (const auto& [row, message] : cases) {
    Write("d.jsonl", good + "\n\n" + row + "\n");
    EXPECT_EQ(Refusal(Choose()), message) << row;
  }
  Write("d.jsonl", R"({"q":"x","c":["y","z"],"a":"C","l":["A","B"]})");
  EXPECT_EQ(Refusal(Choose("answer: {field: a, labels: l}")),
            "d.jsonl:1: a: expected one of the labels A B, found \"C\" (answer at t.yaml:5:9)");
  EXPECT_EQ(Refusal(Choose("answer: {field: a, labels: [A, B, C]}")),
            "d.jsonl:1: expected a label for each of 2 choices, found 3 (answer at t.yaml:5:9)");
  Write("d.jsonl", good + "\n" + good);
  EXPECT_EQ(Refusal(Choose("", "id: q\n")),
            "d.jsonl:2: the id \"x\" is there twice (id at t.yaml:7:5)");
  Write("d.jsonl", good);
  EXPECT_EQ(Refusal(Generate("", "answer_filters: [{find: '#(.)'}]\n")),
            "d.jsonl:1: answer_filters find nothing in \"z\" (answer at t.yaml:4:9)");
}

TEST_F(CustomErrors, CsvIsToldWhereAndWhy) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"q,t\n", "d.csv: expected rows below the one with the names, found none"},
      {"q,q\n1,2\n", "d.csv:1: expected a first row of different names, found \"q\" in column 1"},
      {"q,\n1,2\n", "d.csv:1: expected a first row of different names, found \"\" in column 2"},
      {"q,t\n1,2\n3\n", "d.csv:3: expected 2 fields, found 1"},
      {"q,t\n1,\"2\n", "d.csv:2: a quoted field never ends"},
      {"", "d.csv: expected rows, found none"},
  };
  for (const auto& [text, message] : cases) {
    Write("d.csv", text);
    EXPECT_EQ(Refusal(Generate("data: d.csv")), message) << text;
  }
}

TEST_F(CustomErrors, OptionsThatDoNotApply) {
  Write("d.jsonl", R"({"q":"x","c":["y","z"],"a":1,"t":"z"})");
  TaskOptions options;
  options.shots = 2;
  EXPECT_EQ(Refusal(Choose(), options),
            "task t: shots: 2 asked for, but the task file has no `shots: data`");
  options = {};
  options.max_new_tokens = 5;
  EXPECT_EQ(Refusal(Choose(), options),
            "task t: the option max_new_tokens does not apply. It takes: shots limit "
            "fewshot_world_size chat system log_softmax");
  options = {};
  options.depths = {5};
  EXPECT_EQ(Refusal(Generate(), options),
            "task t: the option depths does not apply. It takes: shots limit fewshot_world_size "
            "chat system max_new_tokens repeats temperature top_p");
  EXPECT_EQ(LoadTask("nowhere.yaml", {}).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(LoadTask("custom", {}).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace h1bench::tasks
