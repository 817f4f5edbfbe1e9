// HELMET's prompts and scores against those of an independent program on small files in HELMET's
// formats (tests/goldens/helmet/make.py), and what is refused.
#include <gtest/gtest.h>

#include <fstream>

#include "base/file.h"
#include "base/sha256.h"
#include "tasks/data_file.h"
#include "tasks/helmet/scoring.h"
#include "tasks/scoring/ranking.h"
#include "tasks/scoring/rouge.h"
#include "tasks/task.h"
#include "tests/paths.h"

namespace h1bench::tasks {
namespace {

namespace fs = std::filesystem;

fs::path Goldens() { return h1bench::testing::SourceDir() / "tests/goldens/helmet"; }

/// A token is a word with the white space in front of it, as in make.py.
std::vector<std::size_t> Starts(std::string_view text) {
  std::vector<std::size_t> starts;
  std::size_t place = 0;
  while (true) {
    const std::size_t word = text.find_first_not_of(" \n\t", place);
    if (word == std::string_view::npos) return starts;
    starts.push_back(place);
    place = std::min(text.find_first_of(" \n\t", word), text.size());
  }
}

TaskOptions Options(const std::vector<std::string>& subjects, std::int64_t length = 8192) {
  TaskOptions options;
  options.data = Goldens() / "data";
  options.subjects = subjects;
  options.lengths = {length};
  options.samples = 3;
  options.count_tokens = [](std::string_view text) {
    return static_cast<std::int64_t>(Starts(text).size());
  };
  options.cut_tokens = [](std::string_view text, std::int64_t drop) {
    const auto starts = Starts(text);
    const auto left = static_cast<std::int64_t>(starts.size()) - drop;
    return left <= 0 ? 0 : starts[static_cast<std::size_t>(left)];
  };
  return options;
}

std::unique_ptr<Task> Load(const TaskOptions& options) {
  auto task = LoadTask("helmet", options);
  EXPECT_TRUE(task.ok()) << task.status().message();
  return task.ok() ? std::move(*task) : nullptr;
}

std::string Refused(const TaskOptions& options) {
  const auto task = LoadTask("helmet", options);
  return task.ok() ? "accepted" : task.status().message();
}

std::vector<Json> Expected() {
  auto rows = ReadJsonLines(Goldens() / "expected.jsonl", {"subset", "sha256"});
  EXPECT_TRUE(rows.ok()) << rows.status().message();
  return *rows;
}

const Document* Find(const Task& task, const Json& row) {
  for (const Document& document : task.documents()) {
    if (document.subset == row.Find("subset")->as_string() &&
        document.index == row.Find("index")->as_int())
      return &document;
  }
  return nullptr;
}

/// Both lengths of the goldens as one list of tasks.
std::vector<std::unique_ptr<Task>> Both(const std::string& chat = "") {
  std::vector<std::unique_ptr<Task>> tasks;
  TaskOptions all = Options({}), longer = Options({"rerank"}, 16384);
  all.chat = chat;
  longer.chat = chat;
  tasks.push_back(Load(all));
  tasks.push_back(Load(longer));
  return tasks;
}

TEST(Helmet, EveryPromptOfTheGoldens) {
  const auto tasks = Both();
  ASSERT_TRUE(tasks[0] && tasks[1]);
  const std::vector<Json> expected = Expected();
  EXPECT_EQ(expected.size(), tasks[0]->documents().size() + tasks[1]->documents().size());
  std::size_t place = 0;
  for (const Json& row : expected) {
    const bool longer = row.Find("subset")->as_string().starts_with("16384");
    const Task& task = *tasks[longer ? 1 : 0];
    const Document* document = Find(task, row);
    ASSERT_NE(document, nullptr) << WriteJson(row);
    const Request request = task.BuildRequest(*document);
    if (const Json* prompt = row.Find("prompt"); prompt != nullptr) {
      EXPECT_EQ(request.context, prompt->as_string());
    }
    EXPECT_EQ(Sha256Hex(request.context), row.Find("sha256")->as_string())
        << document->subset << " " << document->index << "\n"
        << request.context.substr(0, 2000);
    EXPECT_EQ(document->id, row.Find("id")->as_string());
    // Documents stand in upstream's order.
    if (!longer) {
      EXPECT_EQ(document, &task.documents()[place++]) << document->subset;
    }
  }
}

TEST(Helmet, ScoresAreThoseOfTheReferencePackages) {
  const auto tasks = Both();
  ASSERT_TRUE(tasks[0] && tasks[1]);
  std::size_t checked = 0, between = 0;
  for (const Json& row : Expected()) {
    const Json* scores = row.Find("scores");
    if (scores == nullptr) continue;
    const Task& task = *tasks[row.Find("subset")->as_string().starts_with("16384") ? 1 : 0];
    const Document* document = Find(task, row);
    ASSERT_NE(document, nullptr);
    for (const Json& pair : scores->as_array()) {
      const std::string response = pair.as_array()[0].as_string();
      const double score =
          task.ScoreResponse(*document, {response, {}, {}}, nullptr).scores[0].second;
      EXPECT_NEAR(score, pair.as_array()[1].as_double(), 1e-12)
          << document->subset << ": " << response;
      ++checked;
      between += score > 0 && score < 1 ? 1 : 0;
    }
  }
  EXPECT_GT(checked, 180U);
  EXPECT_GT(between, 12U);  // NDCG, ROUGE, recall of four
}

TEST(Helmet, ChatIsForTheNovelsOnly) {
  const auto plain = Both(), chat = Both("single");
  ASSERT_TRUE(plain[0] && chat[0] && plain[1] && chat[1]);
  std::size_t chats = 0;
  for (const Json& row : Expected()) {
    const std::size_t longer = row.Find("subset")->as_string().starts_with("16384") ? 1 : 0;
    const Document* document = Find(*chat[longer], row);
    ASSERT_NE(document, nullptr);
    const std::string text = chat[longer]->BuildRequest(*document).context;
    const Json* hash = row.Find("chat_sha256");
    EXPECT_EQ(Sha256Hex(text), (hash != nullptr ? hash : row.Find("sha256"))->as_string());
    chats += hash != nullptr ? 1 : 0;
    const Json* scores = row.Find("scores");
    if (hash == nullptr || scores == nullptr) continue;
    for (const Json& triple : scores->as_array()) {  // nothing is put in front of the response
      const Response response{triple.as_array()[0].as_string(), {}, {}};
      EXPECT_NEAR(chat[longer]->ScoreResponse(*document, response, nullptr).scores[0].second,
                  triple.as_array()[2].as_double(), 1e-12)
          << document->subset << ": " << response.text;
    }
  }
  EXPECT_EQ(chats, 6U);
  TaskOptions options = Options({"infbench"});
  options.chat = "multiturn";
  EXPECT_EQ(Refused(options),
            "task helmet: chat: HELMET's worked examples are part of its one message: expected "
            "single, found multiturn");
}

TEST(Helmet, CutsFromTheEndOfTheContext) {
  const auto task = Load(Options({"ruler_niah_mk_2", "infbench_qa"}));
  ASSERT_TRUE(task);
  for (const Document& document : task->documents()) {
    const Request request = task->BuildRequest(document);
    const auto count = static_cast<std::int64_t>(Starts(request.context).size());
    EXPECT_LE(count + request.max_new_tokens, 8192) << document.subset;
    if (document.subset == "8192/ruler_niah_mk_2") {
      EXPECT_EQ(count + request.max_new_tokens, 8192);  // nothing more than needed
    }
  }
  // A BOS in front takes one more token.
  TaskOptions options = Options({"ruler_niah_mk_2"});
  options.bos = "once";
  const auto with_bos = Load(options);
  ASSERT_TRUE(with_bos);
  EXPECT_EQ(Starts(with_bos->BuildRequest(with_bos->documents()[0]).context).size(),
            8192U - 50 - 1);
}

TEST(Helmet, StoriesThatUpstreamCutAreTakenAsTheyAre) {
  const std::string folder = ::testing::TempDir() + "h1bench-helmet-cut";
  fs::create_directories(folder + "/helmet/infbench");
  std::ofstream rows(folder + "/helmet/infbench/longbook_qa_eng_7982.jsonl");
  for (int i = 0; i < 3; ++i)
    rows << R"({"id": )" << i
         << R"(, "context": "cut ... [the rest]", "input": "q", "answer": ["a"]})"
         << "\n";
  rows.close();
  TaskOptions options = Options({"infbench_qa"});
  options.data = folder;
  const auto task = Load(options);
  ASSERT_TRUE(task);
  EXPECT_EQ(task->Describe().Find("protocol")->as_string(),
            "HELMET's judge-free data sets, seed 42, greedy, contexts cut to the length, 3 samples "
            "a data set");
  EXPECT_NE(task->BuildRequest(task->documents()[0]).context.find("cut ... [the rest]\n\nQ"),
            std::string::npos);
  fs::remove_all(folder);
}

TEST(Helmet, NativeRecallHasOneFormWithTheFiles) {
  TaskOptions options = Options({"json_kv"});
  options.samples = 12;
  options.helmet_recall = "native";
  options.data = "/nowhere";
  const auto task = Load(options);
  ASSERT_TRUE(task);
  ASSERT_EQ(task->documents().size(), 12U);
  for (const Document& document : task->documents()) {
    const Request request = task->BuildRequest(document);
    const std::string& text = request.context;
    const std::string line = "\"" + text.substr(text.rfind("Key: ") + 5, 36) + "\": \"";
    const std::size_t found = text.find(line);
    ASSERT_NE(found, std::string::npos);
    EXPECT_EQ(text.substr(found + line.size(), 36), document.gold);
    // 105 pairs, the one asked for at six depths in turn.
    const auto before =
        std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(found), '\n');
    EXPECT_EQ(before - 1, std::llround(static_cast<double>(document.index % 6) / 5 * 104));
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1 + 104 + 4 + 3 * 2 + 1);
    EXPECT_EQ(
        task->ScoreResponse(document, {" " + document.gold, {}, {}}, nullptr).scores[0].second, 1);
  }
  EXPECT_NE(task->Describe().Find("protocol")->as_string().find("Recall drawn by h1bench"),
            std::string::npos);
  options.samples = 3;  // the first are the same
  const auto fewer = Load(options);
  ASSERT_TRUE(fewer);
  EXPECT_EQ(fewer->BuildRequest(fewer->documents()[2]).context,
            task->BuildRequest(task->documents()[2]).context);
}

TEST(Helmet, NativeNeedlesAreRulersInHelmetsForm) {
  H1_NEED_SHARED();
  TaskOptions options = Options({"ruler_niah_mk_2", "ruler_niah_mk_3", "ruler_niah_mv"});
  options.helmet_recall = "native";
  options.data = h1bench::testing::SharedDir() / "data";
  const auto task = Load(options);
  options.lengths = {8192};
  options.subjects = {"niah_multikey_2", "niah_multikey_3", "niah_multivalue"};
  options.helmet_recall = "";
  const auto ruler = LoadTask("ruler", options);
  ASSERT_TRUE(task && ruler.ok()) << ruler.status().message();
  for (std::size_t i = 0; i < task->documents().size(); ++i) {
    // RULER's own text joins the answer by a space, HELMET by a line feed.
    std::string text = (*ruler)->BuildRequest((*ruler)->documents()[i]).context;
    const std::size_t joint = text.rfind(" The special magic");
    text[joint] = '\n';
    EXPECT_EQ(task->BuildRequest(task->documents()[i]).context, text) << i;
  }
}

TEST(Helmet, DescribesCategories) {
  const auto task = Load(Options({"recall", "nq"}));
  ASSERT_TRUE(task);
  const Json json = task->Describe();
  EXPECT_EQ(WriteJson(*json.Find("by_length")),
            R"({"lengths":[8192],"categories":{"Recall":["json_kv","ruler_niah_mk_2",)"
            R"("ruler_niah_mk_3","ruler_niah_mv"],"RAG":["nq"]}})");
  EXPECT_EQ(json.Find("headline")->as_string(), "categories");
}

TEST(Helmet, Refusals) {
  EXPECT_EQ(
      Refused(Options({"ragg"})).substr(0, 83),
      "task helmet: subjects: no data set or category \"ragg\". Did you mean \"rag\"? Known: b");
  EXPECT_EQ(
      Refused(Options({}, 4096)),
      "task helmet: lengths: expected some of HELMET's 8192 16384 32768 65536 131072, found 4096");
  TaskOptions options = Options({"nq"});
  options.shots = 2;
  EXPECT_EQ(Refused(options).substr(0, 50), "task helmet: the option shots does not apply. It t");
  options = Options({"nq"});
  options.count_tokens = nullptr;
  EXPECT_EQ(Refused(options).substr(0, 50), "task helmet: its prompts are cut to a length in to");
  options = Options({"nq"}, 32768);
  EXPECT_NE(Refused(options).find("nq-dev-multikilt_1000_k220_dep6.jsonl: no such file."),
            std::string::npos);
}

/// One row of a file, damaged.
TEST(Helmet, ErrorsNameFileLineAndKey) {
  const std::string folder = ::testing::TempDir() + "h1bench-helmet-bad";
  const auto refused = [&](const std::string& subject, const std::string& file,
                           const std::string& text) {
    fs::remove_all(folder);
    fs::create_directories((fs::path(folder) / "helmet" / file).parent_path());
    std::ofstream(fs::path(folder) / "helmet" / file) << text;
    TaskOptions options = Options({subject});
    options.data = folder;
    const std::string message = Refused(options);
    const std::size_t name = message.find(file);
    return name == std::string::npos ? message : message.substr(name + file.size());
  };
  const std::string kv = "json_kv/test_k105_dep6.jsonl", qa = "infbench/longbook_choice_eng.jsonl";
  EXPECT_EQ(refused("json_kv", kv, "{\"context\": \"c\"}\n"),
            ":1: the key \"question\" is missing");
  EXPECT_EQ(refused("json_kv", kv, "\n[1]\n"), ":2: expected a JSON object, found array");
  EXPECT_EQ(refused("json_kv", kv, ""), ": expected one JSON object a line, found none");
  EXPECT_EQ(
      refused("json_kv", kv, R"({"context":"c","question":"q","answer":"a","demos":[["k"]]})"),
      ":1: demos: expected a list of pairs of strings");
  EXPECT_EQ(refused("json_kv", kv, R"({"context":"c","question":"q","answer":[],"demos":[]})"),
            ":1: answer: expected a list of strings that is not empty, found array");
  EXPECT_EQ(refused("banking77", "icl/banking77/train.jsonl", R"({"text":"t","label":77})"),
            ":1: label: expected 0 to 76, found 77");
  EXPECT_EQ(refused("nlu", "icl/nlu/train.jsonl", R"({"text":"t","label":1})"),
            ": too few rows to show and to ask");
  EXPECT_EQ(
      refused("infbench_choice", qa,
              R"({"id":1,"context":"c","input":"q","answer":["z"],"options":["a","b","c","d"]})"),
      ":1: answer: expected one of the options");
  EXPECT_EQ(refused("infbench_choice", qa,
                    R"({"id":1,"context":"c","input":"q","answer":["a"],"options":["a","b","c"]})"),
            ":1: options: expected 4, found 3");
  EXPECT_EQ(
      refused("infbench_choice", qa,
              R"({"id":1,"context":"c","input":"q","answer":["a"],"options":["a","b","c","d"]})"),
      ": expected 2 other questions to show, found 0");
  fs::remove_all(folder);
}

TEST(Rouge, KnownValues) {
  // rouge_score 0.1.2, rougeL with use_stemmer.
  EXPECT_DOUBLE_EQ(RougeL("the cat sat on the mat", "the cat was on a mat"), 4.0 / 6);
  EXPECT_DOUBLE_EQ(RougeL("running houses", "runs house"), 1);
  EXPECT_EQ(RougeL("", "a"), 0);
  EXPECT_EQ(RougeL("\xC3\xA9", "a"), 0);
}

TEST(Ranking, NdcgWeighsPlacesAndGrades) {
  const std::map<std::string, int> relevance = {{"1", 3}, {"2", 1}, {"3", 0}, {"4", -1}};
  EXPECT_DOUBLE_EQ(Ndcg({"1", "2"}, relevance, 10), 1);
  const double ideal = 3 + 1 / std::log2(3.0);
  EXPECT_DOUBLE_EQ(Ndcg({"9", "1", "2"}, relevance, 10), (3 / std::log2(3.0) + 0.5) / ideal);
  EXPECT_DOUBLE_EQ(Ndcg({"2", "1"}, relevance, 1), 1.0 / 3);
  EXPECT_EQ(Ndcg({"4", "3"}, relevance, 10), 0);
  EXPECT_EQ(Ndcg({"1"}, {{"1", 0}}, 10), 0);
}

TEST(Ranking, HostileResponsesEndSoon) {
  std::string text;
  for (int i = 0; i < 200000; ++i) text += "1 > ";
  const auto ids = ParseRanking(text);
  EXPECT_TRUE(ids.ok() ? *ids == std::vector<std::string>{"1"}
                       : ids.status().code() == StatusCode::kResourceExhausted);
  EXPECT_LE(RougeL(text, text), 1);
}

}  // namespace
}  // namespace h1bench::tasks
