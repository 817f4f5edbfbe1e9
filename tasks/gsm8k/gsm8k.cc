#include "tasks/data_file.h"
#include "tasks/fewshot/draws.h"
#include "tasks/gsm8k/cot_exemplars.h"
#include "tasks/options.h"
#include "tasks/prompt.h"
#include "tasks/registry.h"
#include "tasks/scoring/answers.h"

/// GSM8K (Cobbe et al., arXiv 2110.14168) in the wording of lm-eval's `gsm8k` and `gsm8k_cot` 3.0.
namespace h1bench::tasks {
namespace {

constexpr std::int64_t kDefaultTokens = 256;
constexpr const char* kStrict = "exact_match,strict-match";
constexpr const char* kFlexible = "exact_match,flexible-extract";
constexpr const char* kStrictNumber = "numeric_match,strict-match";
constexpr const char* kFlexibleNumber = "numeric_match,flexible-extract";

/// What the two tasks share: questions, requests, the two filters side by side.
class WordProblems : public Task {
 public:
  const std::vector<Document>& documents() const override { return documents_; }
  std::string data_digest() const override { return digest_; }

  Request BuildRequest(const Document& document) const override {
    Request request;
    Prompt prompt = PromptOf(document);
    prompt.instruction = instruction_;
    request.context = RenderPrompt(prompt, chat_);
    request.stops = {cot() ? "Q:" : "Question:", "</s>", "<|im_end|>"};
    request.max_new_tokens = max_new_tokens_;
    request.temperature = temperature_;
    request.top_p = top_p_;
    return request;
  }

  Score ScoreResponse(const Document& document, const Response& response,
                      CodeJudge*) const override {
    const std::string strict =
        cot() ? Gsm8kCotStrict(response.text, dot_) : Gsm8kStrict(response.text);
    const std::string flexible = FlexibleExtract(response.text);
    Score score;
    Json extracted;
    extracted.Set("strict-match", strict).Set("flexible-extract", flexible);
    score.extracted = WriteJson(extracted);
    score.scores = {{kStrict, Gsm8kExactMatch(strict, document.gold) ? 1.0 : 0.0},
                    {kFlexible, Gsm8kExactMatch(flexible, document.gold) ? 1.0 : 0.0}};
    if (strict == kRegexLimit || flexible == kRegexLimit) {
      score.verdict = kRegexLimitVerdict;
      score.detail = "a filter hit its work limit: no answer was taken out";
    }
    if (numbers_) {
      score.scores.emplace_back(kStrictNumber, Gsm8kSameNumber(strict, document.gold) ? 1.0 : 0.0);
      score.scores.emplace_back(kFlexibleNumber,
                                Gsm8kSameNumber(flexible, document.gold) ? 1.0 : 0.0);
    }
    return score;
  }

  Json Describe() const override {
    Json json;
    json.Set("kind", "generate_until")
        .Set("shots", shots_)
        .Set("primary", kStrict)
        .Set("metrics", Strings(numbers_ ? std::vector<std::string>{kStrict, kFlexible,
                                                                    kStrictNumber, kFlexibleNumber}
                                         : std::vector<std::string>{kStrict, kFlexible}));
    json.Set("filters", Strings({"strict-match", "flexible-extract"}))
        .Set("chance", 0.0)
        .Set("groups", Json(Json::Object{}));
    json.Set("headline", "micro").Set("version", 1);
    json.Set("protocol",
             fmt::format("lm-eval {} 3.0: {}-shot, at most {} new tokens, {}{}{}{}", name(), shots_,
                         max_new_tokens_,
                         temperature_ == 0 ? "greedy" : fmt::format("temperature {}", temperature_),
                         ChatNote(chat_), numbers_ ? ", numbers compared beside strings" : "",
                         dot_ == CotDot::kAny   ? ""
                         : dot_ == CotDot::kDot ? ", a dot behind the answer"
                                                : ", nothing behind the answer"));
    return json;
  }

 protected:
  virtual bool cot() const = 0;
  virtual Prompt PromptOf(const Document& document) const = 0;
  const char* name() const { return cot() ? "gsm8k_cot" : "gsm8k"; }

  Status LoadCommon(const TaskOptions& options, std::int64_t shots, std::int64_t most_shots) {
    H1_RETURN_IF_ERROR(
        CheckAllowed(name(), options,
                     {"shots", "limit", "max_new_tokens", "repeats", "temperature", "top_p",
                      "fewshot_world_size", "chat", "system", "gsm8k_compare", "gsm8k_cot_dot"}));
    if (!cot() && !options.gsm8k_cot_dot.empty())
      return InvalidArgument("task gsm8k: gsm8k_cot_dot is of gsm8k_cot");
    numbers_ = options.gsm8k_compare == "both";
    dot_ = options.gsm8k_cot_dot == "dot"    ? CotDot::kDot
           : options.gsm8k_cot_dot == "none" ? CotDot::kNone
                                             : CotDot::kAny;
    H1_ASSIGN_OR_RETURN(chat_, ParseChatForm(name(), options.chat));
    instruction_ = options.system;
    H1_RETURN_IF_ERROR(CheckSampling(name(), options));
    H1_ASSIGN_OR_RETURN(shots_, Or(name(), "shots", options.shots, shots, 0, most_shots));
    H1_ASSIGN_OR_RETURN(max_new_tokens_, Or(name(), "max_new_tokens", options.max_new_tokens,
                                            kDefaultTokens, 1, 1 << 20));
    temperature_ = options.temperature;
    top_p_ = options.top_p;
    H1_ASSIGN_OR_RETURN(const std::filesystem::path folder, DataFolder(options, "gsm8k"));
    H1_ASSIGN_OR_RETURN(const std::vector<Json> rows,
                        ReadJsonLines(folder / "test.jsonl", {"question", "answer"}));
    for (std::size_t i = 0;
         i < rows.size() && (options.limit < 0 || static_cast<std::int64_t>(i) < options.limit);
         ++i) {
      Document document;
      document.index = static_cast<std::int64_t>(i);
      document.gold = rows[i].Find("answer")->as_string();
      document.data.Set("question", rows[i].Find("question")->as_string());
      documents_.push_back(std::move(document));
    }
    return Status::Ok();
  }

  ChatForm chat_ = ChatForm::kNone;
  std::string instruction_;
  CotDot dot_ = CotDot::kAny;
  bool numbers_ = false;  // compared beside strings
  std::int64_t shots_ = 0, max_new_tokens_ = kDefaultTokens;
  double temperature_ = 0, top_p_ = 1;
  std::vector<Document> documents_;
  std::string digest_;
};

class Gsm8k final : public WordProblems {
 public:
  Status Load(const TaskOptions& options) {
    H1_RETURN_IF_ERROR(LoadCommon(options, 5, 100));
    H1_ASSIGN_OR_RETURN(const std::vector<Json> train,
                        ReadJsonLines(options.data / "gsm8k/train.jsonl", {"question", "answer"}));
    if (static_cast<std::int64_t>(train.size()) < shots_) {
      return InvalidArgument("task gsm8k: shots: {} asked for, {} has {} rows", shots_,
                             (options.data / "gsm8k/train.jsonl").string(), train.size());
    }
    DataDigest digest;
    H1_RETURN_IF_ERROR(digest.Add(options.data, "gsm8k/train.jsonl"));
    H1_RETURN_IF_ERROR(digest.Add(options.data, "gsm8k/test.jsonl"));
    digest_ = digest.Finish();
    DrawShotTexts(train, options);
    return Status::Ok();
  }

 private:
  bool cot() const override { return false; }

  static std::string Ask(const std::string& question) {
    return "Question: " + question + "\nAnswer:";
  }

  Prompt PromptOf(const Document& document) const override {
    return {"", shots_of_[static_cast<std::size_t>(document.index)],
            Ask(document.data.Find("question")->as_string()), ""};
  }

  void DrawShotTexts(const std::vector<Json>& train, const TaskOptions& options) {
    for (const auto& rows :
         DrawShots(documents_.size(), train.size(), static_cast<std::size_t>(shots_), options.seed,
                   options.fewshot_world_size)) {
      std::vector<Shot>& shots = shots_of_.emplace_back();
      for (const std::size_t row : rows) {
        shots.push_back({Ask(train[row].Find("question")->as_string()),
                         train[row].Find("answer")->as_string()});
      }
    }
  }

  std::vector<std::vector<Shot>> shots_of_;  // by document
};

class Gsm8kCot final : public WordProblems {
 public:
  Status Load(const TaskOptions& options) {
    H1_RETURN_IF_ERROR(LoadCommon(options, 8, static_cast<std::int64_t>(kCotExemplars.size())));
    DataDigest digest;
    H1_RETURN_IF_ERROR(digest.Add(options.data, "gsm8k/test.jsonl"));
    digest_ = digest.Finish();
    for (std::int64_t shot = 0; shot < shots_; ++shot) {
      const CotExemplar& exemplar = kCotExemplars[static_cast<std::size_t>(shot)];
      shots_of_all_.push_back({Ask(exemplar.question), std::string(exemplar.answer)});
    }
    // Gold is what follows the last ####, stripped.
    for (Document& document : documents_) {
      const std::size_t mark = document.gold.rfind("####");
      if (mark != std::string::npos)
        document.gold = Strip(std::string_view(document.gold).substr(mark + 4));
    }
    return Status::Ok();
  }

 private:
  bool cot() const override { return true; }
  static std::string Ask(std::string_view question) { return fmt::format("Q: {}\nA:", question); }
  Prompt PromptOf(const Document& document) const override {
    return {"", shots_of_all_, Ask(document.data.Find("question")->as_string()), ""};
  }
  std::vector<Shot> shots_of_all_;
};

}  // namespace

const Registration kGsm8k("gsm8k",
                          "grade-school word problems, 5-shot; strict-match and flexible-extract",
                          MakeTask<Gsm8k>);
const Registration kGsm8kCot("gsm8k_cot", "the same with the eight chain-of-thought exemplars",
                             MakeTask<Gsm8kCot>);

}  // namespace h1bench::tasks
