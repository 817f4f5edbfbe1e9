#include "tasks/humaneval/problems.h"
#include "tasks/options.h"
#include "tasks/prompt.h"
#include "tasks/registry.h"

/// HumanEval (Chen et al., arXiv 2107.03374) as lm-eval's `humaneval` 1.0 and
/// `humaneval_instruct` 4.0 ask it.
namespace h1bench::tasks {
namespace {

constexpr std::int64_t kDefaultTokens = 1024;

class HumanEval : public Task {
 public:
  explicit HumanEval(bool instruct) : instruct_(instruct) {}

  Status Load(const TaskOptions& options) {
    H1_RETURN_IF_ERROR(CheckAllowed(
        name(), options,
        {"limit", "max_new_tokens", "repeats", "temperature", "top_p", "chat", "system"}));
    H1_ASSIGN_OR_RETURN(chat_, ParseChatForm(name(), options.chat));
    H1_RETURN_IF_ERROR(CheckSampling(name(), options));
    H1_ASSIGN_OR_RETURN(max_new_tokens_, Or(name(), "max_new_tokens", options.max_new_tokens,
                                            kDefaultTokens, 1, 1 << 20));
    temperature_ = options.temperature;
    top_p_ = options.top_p;
    instruction_ = options.system;
    H1_ASSIGN_OR_RETURN(
        documents_,
        ReadProblems(options, "humaneval/HumanEval.jsonl.gz",
                     {"task_id", "prompt", "canonical_solution", "test", "entry_point"}, digest_));
    return Status::Ok();
  }

  const std::vector<Document>& documents() const override { return documents_; }
  bool needs_judge() const override { return true; }
  std::string data_digest() const override { return digest_; }

  Request BuildRequest(const Document& document) const override {
    const std::string& prompt = document.data.Find("prompt")->as_string();
    Request request;
    Prompt parts;
    parts.instruction = instruction_;
    parts.question = prompt;
    if (instruct_) {
      parts.question =
          "Write a solution to the following problem and make sure that it passes the "
          "tests:\n```python\n" +
          prompt + "\n```\n";
      parts.started = "Here is the completed function:\n```python\n" + prompt + "\n";
    }
    request.context = RenderPrompt(parts, chat_);
    request.stops = {"\nclass", "\ndef", "\n#", "\nif", "\nprint"};
    request.max_new_tokens = max_new_tokens_;
    request.temperature = temperature_;
    request.top_p = top_p_;
    return request;
  }

  /// pass@1 of one response. pass@k over repeats is made by the report (it needs all responses of a
  /// document).
  Score ScoreResponse(const Document& document, const Response& response,
                      CodeJudge* judge) const override {
    std::string completion = response.text;
    // The instruct prompt opens a fence: what follows the closing one is talk.
    if (instruct_) completion = completion.substr(0, completion.find("```"));
    Score score;
    if (judge == nullptr) {
      score.verdict = "sandbox_error";
      score.detail = "code was not judged: no sandbox";
    } else {
      score = judge->Judge(document.data.Find("prompt")->as_string(), completion,
                           document.data.Find("test")->as_string(),
                           document.data.Find("entry_point")->as_string());
    }
    score.extracted = completion;
    score.scores = {{"pass@1", score.verdict == "pass" ? 1.0 : 0.0}};
    return score;
  }

  Json Describe() const override {
    Json json = DescribeGeneration({"pass@1"}, "micro").Set("code", true);
    json.Set("protocol",
             fmt::format("lm-eval {}: 0-shot, at most {} new tokens, {}, judged in a sandbox with "
                         "3 s a program{}",
                         instruct_ ? "humaneval_instruct 4.0" : "humaneval 1.0", max_new_tokens_,
                         temperature_ == 0 ? "greedy" : fmt::format("temperature {}", temperature_),
                         ChatNote(chat_)));
    return json;
  }

 private:
  const char* name() const { return instruct_ ? "humaneval_instruct" : "humaneval"; }

  bool instruct_;
  ChatForm chat_ = ChatForm::kNone;
  std::string instruction_;
  std::int64_t max_new_tokens_ = kDefaultTokens;
  double temperature_ = 0, top_p_ = 1;
  std::vector<Document> documents_;
  std::string digest_;
};

struct Plain final : HumanEval {
  Plain() : HumanEval(false) {}
};
struct Instruct final : HumanEval {
  Instruct() : HumanEval(true) {}
};

}  // namespace

const Registration kHumanEval(
    "humaneval", "164 functions to complete, 0-shot; pass@1 and pass@k, judged in a sandbox",
    MakeTask<Plain>);
const Registration kHumanEvalInstruct("humaneval_instruct",
                                      "the same, asked as a chat with a started answer",
                                      MakeTask<Instruct>);

}  // namespace h1bench::tasks
