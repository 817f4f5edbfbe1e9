#include <algorithm>
#include <cmath>
#include <map>

#include "base/text.h"
#include "tasks/data_file.h"
#include "tasks/mmlu/subjects.h"
#include "tasks/options.h"
#include "tasks/prompt.h"
#include "tasks/registry.h"
#include "tasks/scoring/answers.h"

/// MMLU (Hendrycks et al., arXiv 2009.03300) in the wording of lm-eval's `mmlu` task.
namespace h1bench::tasks {
namespace {

constexpr std::string_view kLetters = "ABCD";
/// What Hendrycks' evaluate.py lets a prompt have.
constexpr std::size_t kOriginalTokens = 2048;

/// question, four choices, letter: a row of the upstream CSV files.
using Row = std::vector<std::string>;

/// `strip`: the question without blanks around it, as lm-eval does and Hendrycks' script does not.
std::string Question(const Row& row, bool strip) {
  std::string text = strip ? Strip(row[0]) : row[0];
  for (std::size_t choice = 0; choice < 4; ++choice)
    text += fmt::format("\n{}. {}", kLetters[choice], row[choice + 1]);
  return text + "\nAnswer:";
}

Status CheckRows(const std::filesystem::path& file, const std::vector<Row>& rows) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::string& letter = rows[i][5];
    if (letter.size() != 1 || kLetters.find(letter) == std::string_view::npos) {
      return Corrupt("{}: row {}: expected the answer A, B, C or D, found \"{}\"", file.string(), i,
                     VisibleText(letter.substr(0, 40)));
    }
  }
  return Status::Ok();
}

class Mmlu final : public Task {
 public:
  Status Load(const TaskOptions& options) {
    H1_RETURN_IF_ERROR(CheckAllowed("mmlu", options,
                                    {"shots", "subjects", "limit", "chat", "system", "log_softmax",
                                     "mmlu_prompt", "mmlu_average", "mmlu_anatomy"}));
    H1_RETURN_IF_ERROR(ReadSwitches(options));
    H1_ASSIGN_OR_RETURN(chat_, ParseChatForm("mmlu", options.chat));
    instruction_ = options.system;
    H1_ASSIGN_OR_RETURN(shots_, Or("mmlu", "shots", options.shots, 5, 0, 5));
    H1_ASSIGN_OR_RETURN(const std::filesystem::path folder, DataFolder(options, "mmlu"));
    H1_RETURN_IF_ERROR(ChooseSubjects(options.subjects));
    DataDigest digest;
    for (const MmluSubject* subject : subjects_) {
      H1_RETURN_IF_ERROR(
          LoadSubject(options.data, std::string(subject->name), options.limit, digest));
    }
    digest_ = digest.Finish();
    return Status::Ok();
  }

  const std::vector<Document>& documents() const override { return documents_; }

  Request BuildRequest(const Document& document) const override {
    Request request;
    Prompt prompt = prompts_.at(document.subset);
    prompt.instruction = instruction_;
    prompt.question = document.data.Find("question")->as_string();
    request.context = original_ ? FittingPrompt(prompt) : RenderPrompt(prompt, chat_);
    for (const char letter : kLetters)
      request.continuations.push_back(Continuation(std::string(1, letter), chat_));
    return request;
  }

  /// acc: the continuation with the highest log-likelihood is the gold one; the first of equals, as
  /// np.argmax.
  Score ScoreResponse(const Document& document, const Response& response,
                      CodeJudge*) const override {
    const auto& values = response.loglikelihoods;
    Score score;
    if (values.size() != kLetters.size() ||
        std::any_of(values.begin(), values.end(), [](double x) { return std::isnan(x); })) {
      score.scores = {{"acc", 0.0}};
      score.detail = fmt::format("expected {} log-likelihoods that are numbers", kLetters.size());
      return score;
    }
    const auto best = std::max_element(values.begin(), values.end());
    score.extracted = kLetters[static_cast<std::size_t>(best - values.begin())];
    score.scores = {{"acc", score.extracted == document.gold ? 1.0 : 0.0}};
    return score;
  }

  std::string data_digest() const override { return digest_; }

  Json Describe() const override {
    std::map<std::string, std::vector<std::string>> groups;
    for (const MmluSubject* subject : subjects_)
      groups[GroupOf(*subject)].emplace_back(subject->name);
    Json by_group{Json::Object{}};
    for (const auto& [group, members] : groups) by_group.Set(group, Strings(members));
    Json json;
    json.Set("kind", "loglikelihood")
        .Set("shots", shots_)
        .Set("primary", "acc")
        .Set("metrics", Strings({"acc"}));
    json.Set("chance", 0.25).Set("groups", by_group).Set("headline", average_).Set("version", 1);
    json.Set("protocol", fmt::format("{}: {}-shot from dev in file order, "
                                     "log-likelihood of \"{}A\" to \"{}D\"{}{}{}",
                                     original_ ? "Hendrycks' original mmlu (two spaces, nothing "
                                                 "stripped, shots dropped beyond 2048 tokens)"
                                               : "lm-eval mmlu 1.0",
                                     shots_, chat_ == ChatForm::kNone ? " " : "",
                                     chat_ == ChatForm::kNone ? " " : "", ChatNote(chat_),
                                     average_ == "micro" ? "" : ", average: " + average_,
                                     anatomy_other_ ? ", anatomy under other" : ""));
    return json;
  }

 private:
  Status ReadSwitches(const TaskOptions& options) {
    original_ = options.mmlu_prompt == "original";
    anatomy_other_ = options.mmlu_anatomy == "other";
    if (!options.mmlu_average.empty()) average_ = options.mmlu_average;
    if (!original_) return Status::Ok();
    if (!options.chat.empty())
      return InvalidArgument(
          "task mmlu: mmlu_prompt: the original has no chat form: leave out chat");
    if (!options.count_tokens)
      return InvalidArgument(
          "task mmlu: mmlu_prompt: the original drops shots beyond {} tokens, and so needs a "
          "tokenizer: give --model",
          kOriginalTokens);
    count_tokens_ = options.count_tokens;
    return Status::Ok();
  }

  std::string GroupOf(const MmluSubject& subject) const {
    return std::string(anatomy_other_ && subject.name == "anatomy" ? "other" : subject.group);
  }

  /// Hendrycks' script takes away the last shot as long as the prompt is too long. A token has a
  /// byte or more, so short prompts need no counting.
  std::string FittingPrompt(Prompt prompt) const {
    std::string text = RenderPrompt(prompt, ChatForm::kNone);
    while (!prompt.shots.empty() && text.size() > kOriginalTokens &&
           count_tokens_(text) > static_cast<std::int64_t>(kOriginalTokens)) {
      prompt.shots.pop_back();
      text = RenderPrompt(prompt, ChatForm::kNone);
    }
    return text;
  }

  Status ChooseSubjects(const std::vector<std::string>& wanted) {
    std::vector<std::string> names;
    for (const MmluSubject& subject : kMmluSubjects) names.emplace_back(subject.name);
    for (const std::string& name : wanted) {
      if (std::find(names.begin(), names.end(), name) != names.end()) continue;
      const std::string near = NearestWord(name, names);
      return InvalidArgument("task mmlu: unknown subject \"{}\".{} Known: {}", VisibleText(name),
                             near.empty() ? "" : fmt::format(" Did you mean \"{}\"?", near),
                             fmt::join(names, " "));
    }
    for (const MmluSubject& subject : kMmluSubjects) {
      if (wanted.empty() || std::find(wanted.begin(), wanted.end(), subject.name) != wanted.end())
        subjects_.push_back(&subject);
    }
    return Status::Ok();
  }

  Status LoadSubject(const std::filesystem::path& data, const std::string& subject,
                     std::int64_t limit, DataDigest& digest) {
    const std::filesystem::path dev = std::filesystem::path("mmlu/dev") / (subject + "_dev.csv");
    const std::filesystem::path test = std::filesystem::path("mmlu/test") / (subject + "_test.csv");
    H1_RETURN_IF_ERROR(digest.Add(data, dev));
    H1_RETURN_IF_ERROR(digest.Add(data, test));
    H1_ASSIGN_OR_RETURN(const std::vector<Row> shots, ReadCsv(data / dev, 6));
    H1_RETURN_IF_ERROR(CheckRows(data / dev, shots));
    H1_ASSIGN_OR_RETURN(const std::vector<Row> rows, ReadCsv(data / test, 6));
    H1_RETURN_IF_ERROR(CheckRows(data / test, rows));
    if (static_cast<std::int64_t>(shots.size()) < shots_) {
      return Corrupt("{}: expected at least {} rows for the shots, found {}", (data / dev).string(),
                     shots_, shots.size());
    }
    std::string name = subject;
    std::replace(name.begin(), name.end(), '_', ' ');
    Prompt& prompt = prompts_[subject];
    prompt.system =
        fmt::format("The following are multiple choice questions (with answers) about {}{}.\n\n",
                    original_ ? " " : "", name);
    for (std::int64_t shot = 0; shot < shots_; ++shot) {
      const Row& row = shots[static_cast<std::size_t>(shot)];
      prompt.shots.push_back({Question(row, !original_), row[5]});
    }
    for (std::size_t i = 0; i < rows.size() && (limit < 0 || static_cast<std::int64_t>(i) < limit);
         ++i) {
      Document document;
      document.subset = subject;
      document.index = static_cast<std::int64_t>(i);
      document.gold = rows[i][5];
      document.data.Set("question", Question(rows[i], !original_));
      documents_.push_back(std::move(document));
    }
    return Status::Ok();
  }

  std::int64_t shots_ = 5;
  std::vector<const MmluSubject*> subjects_;
  ChatForm chat_ = ChatForm::kNone;
  std::string instruction_;
  bool original_ = false, anatomy_other_ = false;
  std::string average_ = "micro";
  TokenCounter count_tokens_;
  std::map<std::string, Prompt> prompts_;  // subject -> description and shots
  std::vector<Document> documents_;
  std::string digest_;
};

}  // namespace

const Registration kMmlu(
    "mmlu", "57 subjects of multiple choice, 5-shot; accuracy, micro and macro, four groups",
    MakeTask<Mmlu>);

}  // namespace h1bench::tasks
