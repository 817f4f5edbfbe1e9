#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "tasks/fewshot/python_random.h"
#include "tasks/ruler/fill.h"
#include "tasks/ruler/generator.h"
#include "tasks/ruler/numpy_random.h"
#include "tasks/ruler/scoring.h"
#include "tasks/task.h"
#include "tests/paths.h"

// RULER without its real sources: small ones made here. Parity with upstream: ruler_golden_test.cc.
namespace h1bench::tasks {
namespace {

namespace fs = std::filesystem;

std::int64_t Words(std::string_view text) {
  std::int64_t count = 0;
  bool inside = false;
  for (const char c : text) {
    const bool letter = c != ' ' && c != '\n';
    count += letter && !inside ? 1 : 0;
    inside = letter;
  }
  return count;
}

void Write(const fs::path& path, const std::string& text) {
  const Status status = WriteFileAtomically(path, text);
  ASSERT_TRUE(status.ok()) << status.message();
}

class RulerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "h1bench-ruler-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    const fs::path data = folder_ / "longcontext";
    std::string nouns, essays, paragraphs, rows;
    for (int i = 0; i < 9000; ++i) nouns += fmt::format("noun{}\n", i);
    Write(data / "wonderwords/nounlist.txt", nouns);
    Write(data / "wonderwords/adjectivelist.txt", "old \nold-fashioned\nnew\n");
    Write(data / "wonderwords/verblist.txt", "go\n");
    for (int i = 0; i < 600; ++i) essays += fmt::format("Sentence number {} stands here.\n", i);
    Write(data / "paulgraham/one.txt", essays);
    for (int i = 0; i < 40; ++i) {
      paragraphs += fmt::format(
          R"({}{{"context": "Paragraph {}.", "qas": [{{"question": "Which {}?", "is_impossible": false,
          "answers": [{{"text": "number {}"}}, {{"text": "{}"}}]}},
          {{"question": "None?", "is_impossible": true, "answers": []}}]}})",
          i == 0 ? "" : ",", i, i, i, i);
      rows += fmt::format(
          R"({}{{"question": "Q{}?", "answer": "yes", "context": [["T{}", ["One {}.", " Two."]]]}})",
          i == 0 ? "" : ",", i, i, i);
    }
    Write(data / "squad/dev-v2.0.json", R"({"data": [{"paragraphs": [)" + paragraphs + "]}]}");
    Write(data / "hotpotqa/hotpot_dev_distractor_v1.json", "[" + rows + "]");
  }
  void TearDown() override { fs::remove_all(folder_); }

  TaskOptions Options(std::vector<std::string> subjects = {}) const {
    TaskOptions options;
    options.data = folder_;
    options.subjects = std::move(subjects);
    options.lengths = {4096};
    options.samples = 2;
    options.count_tokens = Words;
    return options;
  }
  static std::unique_ptr<Task> Load(const TaskOptions& options) {
    auto task = LoadTask("ruler", options);
    EXPECT_TRUE(task.ok()) << task.status().message();
    return task.ok() ? std::move(*task) : nullptr;
  }
  static std::string Refusal(const TaskOptions& options) {
    const auto task = LoadTask("ruler", options);
    EXPECT_FALSE(task.ok());
    return task.ok() ? "" : task.status().message();
  }
  static void ExpectPart(const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  }

  fs::path folder_;
};

TEST_F(RulerTest, ThirteenTasksFillTheLengthAndNoMore) {
  TaskOptions options = Options();
  options.lengths = {8192, 4096};
  const auto task = Load(options);
  ASSERT_EQ(task->documents().size(), 2U * 13 * 2);
  EXPECT_EQ(task->documents()[0].subset, "4096/niah_single_1");
  for (const Document& document : task->documents()) {
    const Request request = task->BuildRequest(document);
    EXPECT_TRUE(request.stops.empty());
    const std::int64_t tokens = Words(request.context) + request.max_new_tokens;
    EXPECT_EQ(tokens, document.data.Find("length")->as_int()) << document.subset;
    EXPECT_LE(tokens, document.fills_tokens) << document.subset;
    const bool fills = document.subset.find("niah") != std::string::npos;
    if (fills) {
      EXPECT_GT(tokens, document.fills_tokens * 9 / 10) << document.subset;
    }
  }
}

TEST_F(RulerTest, ChatTemplateIsTakenOffTheLength) {
  TaskOptions options = Options({"niah_single_1", "vt"});
  options.chat = "single";
  options.system = "Answer in one line.";
  const auto chat = Load(options);
  const std::string wrapping =
      "<|begin_of_text|><|im_start|>system\nAnswer in one line.<|im_end|>\n<|im_start|>user\n"
      "<|im_end|>\n<|im_start|>assistant\n";
  options.chat = options.system = "";
  options.lengths = {4096 - Words(wrapping)};
  const auto plain = Load(options);
  ASSERT_EQ(chat->documents().size(), plain->documents().size());
  for (std::size_t i = 0; i < chat->documents().size(); ++i) {
    const Json &with = chat->documents()[i].data, &without = plain->documents()[i].data;
    EXPECT_EQ(with, without);  // upstream's sample of the shorter length, in the template
    const std::string text = chat->BuildRequest(chat->documents()[i]).context;
    const std::string input = with.Find("input")->as_string();
    EXPECT_TRUE(
        text.starts_with("<|begin_of_text|><|im_start|>system\nAnswer in one line."
                         "<|im_end|>\n<|im_start|>user\n" +
                         input.substr(0, 20)));
    EXPECT_NE(
        text.find(input + "<|im_end|>\n<|im_start|>assistant\n" + (i < 2 ? "The" : "Answer:")),
        std::string::npos);
    EXPECT_FALSE(text.ends_with(" "));
    EXPECT_EQ(chat->documents()[i].fills_tokens, 4096);
  }
  options.lengths = {4096};
  options.bos = "once";
  const auto bos = Load(options);
  for (const Document& document : bos->documents())
    EXPECT_LE(document.data.Find("length")->as_int(), 4095);
  options.chat = "single";
  options.ruler_files = folder_;
  ExpectPart(Refusal(options), "ruler_files: upstream's prompts are asked as they are");
}

TEST_F(RulerTest, FirstSamplesDoNotDependOnHowManyFollow) {
  TaskOptions options = Options();
  const auto two = Load(options);
  options.samples = 4;
  const auto four = Load(options);
  for (std::size_t task = 0; task < 13; ++task) {
    for (std::size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(two->BuildRequest(two->documents()[task * 2 + i]).context,
                four->BuildRequest(four->documents()[task * 4 + i]).context);
    }
  }
}

TEST_F(RulerTest, NeedlesStandWhole) {
  for (const char* name : {"niah_multivalue", "niah_multiquery", "niah_multikey_1"}) {
    const auto task = Load(Options({name}));
    const Document& document = task->documents()[0];
    const std::string prompt = task->BuildRequest(document).context;
    for (const Json& output : document.data.Find("outputs")->as_array())
      ExpectPart(prompt, " is: " + output.as_string() + ". ");
    // 600 sentences, over and over: every one begins with its first word.
    EXPECT_EQ(prompt.find("stands. "), std::string::npos);
    ExpectPart(prompt, "stands here. One of the special magic numbers for ");
  }
}

TEST_F(RulerTest, AllAndPartScore) {
  const auto score = [](const Task& task, const std::string& text) {
    return task.ScoreResponse(task.documents()[0], {text, {}, {}}, nullptr).scores[0].second;
  };
  const auto vt = Load(Options({"vt"}));
  std::string all, three;
  const auto& names = vt->documents()[0].data.Find("outputs")->as_array();
  ASSERT_EQ(names.size(), 5U);
  for (std::size_t i = 0; i < 5; ++i) {
    all += names[i].as_string() + " ";
    if (i < 3) three += names[i].as_string() + "\x01";
  }
  EXPECT_EQ(score(*vt, all), 1);
  EXPECT_DOUBLE_EQ(score(*vt, three), 0.6);
  EXPECT_EQ(score(*vt, ""), 0);

  TaskOptions options = Options({"qa_1"});  // answers "number 0" and "0"
  EXPECT_EQ(score(*Load(options), "It is 0."), 1);
  options.ruler_qa = "mean";
  EXPECT_EQ(score(*Load(options), "It is 0."), 0.5);
  EXPECT_EQ(score(*Load(options), "NUMBER 0"), 1);
  options.ruler_qa = "";
  options.ruler_variant = "lm-eval";
  EXPECT_EQ(score(*Load(options), "It is 0."), 0.5);
}

TEST(RulerScoring, CaseAndControlCharacters) {
  EXPECT_EQ(ruler::CleanResponse(" \ta\x01"
                                 "b\x02 "),
            "a\nb");
  EXPECT_EQ(ruler::CleanResponse("\x00\x01"), "");
  EXPECT_EQ(ruler::CountFound("das ÄRGER", {"Ärger", "x"}), 1U);
  EXPECT_EQ(ruler::CountFound("a\xff", {"A"}), 1U);  // hostile bytes
  EXPECT_EQ(ruler::CountFound("12", {"1", "2", "3"}), 2U);
}

TEST_F(RulerTest, LmEvalsDifferencesAreThere) {
  const auto prompt = [&](const std::string& name, const std::string& variant) {
    TaskOptions options = Options({name});
    options.ruler_variant = variant;
    const auto task = Load(options);
    return task->BuildRequest(task->documents()[1]).context;
  };
  const auto times = [](const std::string& text, const std::string& part) {
    std::size_t count = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
      ++count;
    return count;
  };
  for (const ruler::Spec& spec : ruler::Specs())
    EXPECT_NE(prompt(spec.name, "nvidia"), prompt(spec.name, "lm-eval")) << spec.name;
  // The worked example of cwe is counted and not shown; the prefix follows a blank line.
  EXPECT_EQ(times(prompt("cwe", "nvidia"), "Below is a numbered list"), 2U);
  EXPECT_EQ(times(prompt("cwe", "lm-eval"), "Below is a numbered list"), 1U);
  ExpectPart(prompt("cwe", "lm-eval"), "list?\n\nAnswer: The top 10");
  // vt: a misspelling, lines joined by a space, a blank line after the example, a stripped prefix.
  const std::string vt = prompt("vt", "lm-eval");
  EXPECT_EQ(times(vt, "assgined"), 2U);
  EXPECT_EQ(times(prompt("vt", "nvidia"), "assgined"), 0U);
  ExpectPart(vt, "back again.\n The grass");
  ExpectPart(vt, "\n\n\n\nMemorize and track");
  EXPECT_EQ(vt.substr(vt.size() - 9), "they are:");
  const std::string nvidia = prompt("vt", "nvidia");
  EXPECT_EQ(nvidia.substr(nvidia.size() - 10), "they are: ");
  // fwe does not leave room for its answer.
  EXPECT_LE(Words(prompt("fwe", "nvidia")), 4096 - 50);
  EXPECT_LE(Words(prompt("fwe", "lm-eval")), 4096);
  EXPECT_GT(Words(prompt("fwe", "lm-eval")), Words(prompt("fwe", "nvidia")));
  // cwe stops at the word list where NVIDIA's goes on to a larger one.
  TaskOptions options = Options({"cwe"});
  options.lengths = {131072};
  ExpectPart(Refusal(options), "english_words.json");
  options.ruler_variant = "lm-eval";
  EXPECT_NE(Load(options), nullptr);
}

TEST_F(RulerTest, ImportsUpstreamsFiles) {
  const fs::path files = folder_ / "files";
  const std::string row = R"({"index": 7, "input": "Find it.", "outputs": ["A", "B"], "length": 9,
    "answer_prefix": " Answer:"})";
  std::string one;
  for (const char c : row) one += c == '\n' ? ' ' : c;
  Write(files / "4096/vt.jsonl", one + "\n" + one + "\n");
  Write(files / "8192/data/vt/validation.jsonl", R"({"input": "Whole.", "outputs": ["A"]})");
  TaskOptions options = Options({"vt"});
  options.count_tokens = nullptr;  // nothing is drawn
  options.samples = -1;
  options.lengths = {4096, 8192};
  options.ruler_files = files;
  const auto task = Load(options);
  ASSERT_EQ(task->documents().size(), 3U);
  EXPECT_EQ(task->BuildRequest(task->documents()[0]).context, "Find it. Answer:");
  EXPECT_EQ(task->BuildRequest(task->documents()[2]).context, "Whole.");
  EXPECT_EQ(task->documents()[2].subset, "8192/vt");
  const std::string digest = task->data_digest();
  Write(files / "4096/vt.jsonl", one + "\n");
  EXPECT_NE(Load(options)->data_digest(), digest);

  options.samples = 2;
  ExpectPart(Refusal(options), "vt.jsonl: 1 rows, 2 samples were asked for");
  options.samples = 1;
  Write(files / "4096/vt.jsonl", R"({"input": "x", "outputs": []})");
  ExpectPart(Refusal(options), "vt.jsonl: row 1: outputs: expected a list of answers");
  options.subjects = {"cwe"};
  ExpectPart(Refusal(options), "cwe.jsonl: no such file");
}

TEST_F(RulerTest, WhatCannotExistIsRefused) {
  const auto refusal = [&](const std::string& name, std::int64_t length,
                           const TokenCounter& count) {
    TaskOptions options = Options({name});
    options.lengths = {length};
    options.count_tokens = count;
    return Refusal(options);
  };
  const auto bytes = [](std::string_view text) {
    return 2 * static_cast<std::int64_t>(text.size());
  };
  ExpectPart(refusal("niah_single_1", 1024, bytes), "sample 0 does not exist at 1024 tokens");
  ExpectPart(refusal("niah_single_2", 1024, bytes), "niah_single_2: sample 0 does not exist");
  ExpectPart(refusal("vt", 1024, bytes), "vt's worked example, 500 tokens: vt: sample 0");
  ExpectPart(refusal("cwe", 1 << 20, Words), "english_words.json");
  ExpectPart(refusal("cwe", 1024, [](std::string_view t) { return std::int64_t(t.size()) * 9; }),
             "cwe: sample 0 does not exist");
  std::string rows;  // ten paragraphs of 500 words
  std::string paragraph;
  for (int i = 0; i < 500; ++i) paragraph += "word ";
  for (int i = 0; i < 10; ++i)
    rows += fmt::format(R"({}["T{}", ["{}"]])", i == 0 ? "" : ",", i, paragraph);
  Write(folder_ / "longcontext/hotpotqa/hotpot_dev_distractor_v1.json",
        R"([{"question": "Q?", "answer": "A", "context": [)" + rows + R"(]}, {"question": "Q?",
        "answer": "A", "context": [["T", ["x"]]]}])");
  ExpectPart(refusal("qa_2", 4096, Words), "upstream's script never ends here");
  // One message names all that must be left out.
  TaskOptions options = Options({"qa_2", "vt"});
  options.lengths = {1024, 4096};
  options.count_tokens = bytes;
  const std::string all = Refusal(options);
  ExpectPart(all, "vt's worked example, 500 tokens: vt: sample 0");
  ExpectPart(all, " Also refused: 1024/qa_2 4096/vt 4096/qa_2");
}

TEST_F(RulerTest, WhatAModelCannotHoldIsNotDrawn) {
  TaskOptions options = Options({"cwe"});  // which does not exist at 1M words
  options.lengths = {4096, 1 << 20};
  ExpectPart(Refusal(options), "english_words.json");
  options.max_length = (1 << 20) - 1;
  const auto both = Load(options);
  ASSERT_NE(both, nullptr);
  options.lengths = {4096};
  const auto one = Load(options);
  ASSERT_EQ(both->documents().size(), one->documents().size());
  for (std::size_t i = 0; i < one->documents().size(); ++i)
    EXPECT_EQ(both->BuildRequest(both->documents()[i]).context,
              one->BuildRequest(one->documents()[i]).context);
  // The report still knows that there was more to ask, and the data is the same.
  EXPECT_EQ(WriteJson(*both->Describe().Find("by_length")->Find("lengths")), "[4096,1048576]");
  EXPECT_EQ(both->data_digest(), one->data_digest());
  options.max_length = 4095;
  EXPECT_TRUE(Load(options)->documents().empty());
}

TEST_F(RulerTest, OptionsAndSourcesAreChecked) {
  TaskOptions options = Options({"niah_singel_1"});
  ExpectPart(Refusal(options), "Did you mean \"niah_single_1\"?");
  options = Options();
  options.lengths = {1000};
  ExpectPart(Refusal(options), "lengths: expected 1024 to");
  options.lengths = {4096, 4096};
  ExpectPart(Refusal(options), "4096 is there twice");
  options = Options();
  options.ruler_qa = "best";
  ExpectPart(Refusal(options), "ruler_qa: expected max or mean");
  options = Options();
  options.ruler_variant = "other";
  ExpectPart(Refusal(options), "ruler_variant: expected nvidia or lm-eval");
  options = Options({"qa_1"});
  options.samples = 41;
  ExpectPart(Refusal(options), "has 40 questions that can be answered, 41 samples");
  options = Options();
  options.count_tokens = nullptr;
  ExpectPart(Refusal(options), "give one (--model DIR)");
  Write(folder_ / "longcontext/squad/dev-v2.0.json", R"({"data": [{"paragraphs": [{}]}]})");
  ExpectPart(Refusal(Options({"qa_1"})), "a context in every paragraph of article 0");
  const fs::path hotpot = folder_ / "longcontext/hotpotqa/hotpot_dev_distractor_v1.json";
  for (const char* bad : {"{}", "[1]", R"([{"question": "Q", "answer": "A", "context": []}])",
                          R"([{"question": "Q", "answer": "A", "context": [["T", [1]]]}])",
                          R"([{"question": "Q", "answer": "A", "context": {"title": ["T"],
                          "sentences": []}}])"}) {
    Write(hotpot, bad);
    ExpectPart(Refusal(Options({"qa_2"})), "hotpot_dev_distractor_v1.json: expected");
  }
  fs::remove(folder_ / "longcontext/wonderwords/nounlist.txt");
  ExpectPart(Refusal(Options({"niah_single_1"})), "nounlist.txt: not there");
  fs::remove_all(folder_ / "longcontext/paulgraham");
  ExpectPart(Refusal(Options({"niah_single_2"})), "not there");
}

TEST(RulerSources, PairsAreTheSortedSetOfAll) {
  const std::vector<std::string> adjectives = {"old", "b", "old-fashioned", "old", "a-b", "a"};
  const std::vector<std::string> nouns = {"z", "fashioned-z", "a", "b-z"};
  std::vector<std::string> all;
  for (const std::string& adjective : adjectives) {
    for (const std::string& noun : nouns) all.push_back(adjective + "-" + noun);
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  const ruler::WordPairs pairs(adjectives, nouns);
  ASSERT_EQ(pairs.size(), all.size());
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(pairs.At(i), all[i]);
}

TEST(RulerSentences, EndsWhereASentenceEnds) {
  using ruler::EndsSentence;
  EXPECT_TRUE(EndsSentence("here.", "There"));
  EXPECT_TRUE(EndsSentence("here?\"", "\"There"));
  EXPECT_TRUE(EndsSentence("(here.)", "9"));
  EXPECT_TRUE(EndsSentence("I.", "Then"));
  EXPECT_FALSE(EndsSentence("here.", "there"));
  EXPECT_FALSE(EndsSentence("here", "There"));
  EXPECT_FALSE(EndsSentence("Mr.", "Graham"));
  EXPECT_FALSE(EndsSentence("(e.g.", "Lisp"));
  EXPECT_FALSE(EndsSentence("P.", "Graham"));
  EXPECT_FALSE(EndsSentence("here.", ""));
}

TEST(RulerSentences, FrozenByDigest) {
  // A change of the splitter changes prompts: give it a new name then.
  EXPECT_EQ(ruler::EssayDigest(ruler::SplitEssays("Dr. No met J. Smith. \"Why?\" He asked. It cost "
                                                  "$3.50 (about 9 a.m. in May).\xc2\xa0So!")),
            "692e13e67a4eee00c41f76cd333287d666e31f1567cdc5e399fc8affa056284f");
  H1_NEED_SHARED();
  const auto sources = ruler::ReadSources(h1bench::testing::SharedDir() / "data",
                                          {false, false, true, false, false});
  ASSERT_TRUE(sources.ok()) << sources.status().message();
  EXPECT_EQ(ruler::EssayDigest(sources->essays),
            "0ede2c8539c3c213fb8bcb9027d8d7ec5e3261c2083a1aee155e581130ef8518");
}

TEST(RulerDraws, PythonsOwnVectors) {
  PythonRandom random(42);
  std::vector<int> items = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  PythonRandom(42).Shuffle(items);
  EXPECT_EQ(items, (std::vector<int>{7, 3, 2, 8, 5, 6, 9, 4, 0, 1}));
  for (const std::int64_t expected : {2867825, 1419610, 5614226, 5108603})
    EXPECT_EQ(random.RandInt(1'000'000, 9'999'999), expected);
  EXPECT_EQ(random.Sample(40, 4), (std::vector<std::size_t>{14, 8, 6, 34}));
  EXPECT_EQ(random.Uuid4(), "0822e8f3-6c03-4199-972a-846916419f82");
  std::string letters;
  for (int i = 0; i < 5; ++i) letters += static_cast<char>('A' + random.ChoicesPlace(26));
  EXPECT_EQ(letters, "AFNAF");
  ruler::NumpyRandom numpy(42);
  for (const std::uint32_t expected : {25795U, 10860U, 86820U, 64886U, 16265U})
    EXPECT_EQ(numpy.RandInt(10000, 99999), expected);
}

TEST(RulerTemplates, OnePass) {
  EXPECT_EQ(ruler::FillIn("{a}{b}{c} {", {{"a", "{b}"}, {"b", "x"}}), "{b}x{c} {");
}

}  // namespace
}  // namespace h1bench::tasks
