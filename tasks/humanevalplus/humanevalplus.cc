#include "base/text.h"
#include "tasks/data_file.h"
#include "tasks/humaneval/problems.h"
#include "tasks/humanevalplus/programs.h"
#include "tasks/options.h"
#include "tasks/prompt.h"
#include "tasks/registry.h"
#include "tasks/scoring/answers.h"

/// HumanEval+ (Liu et al., arXiv 2305.01210), file v0.1.10, asked and judged as EvalPlus does.
namespace h1bench::tasks {
namespace {

constexpr std::int64_t kDefaultTokens = 768;
constexpr double kSanitizeSeconds = 20;
// The check limits the program to 60 s; the rest is for the canonical solution.
constexpr double kCheckSeconds = 90;
constexpr std::int64_t kMemoryBytes = std::int64_t{4} << 30;    // EvalPlus's limit
constexpr std::int64_t kMessageBytes = std::int64_t{64} << 20;  // some answers have a million items
constexpr const char* kFile = "humanevalplus/HumanEvalPlus.jsonl.gz";

std::string TabsToSpaces(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '\t' ? std::string(4, ' ') : std::string(1, c);
  return out;
}

class HumanEvalPlus : public Task {
 public:
  explicit HumanEvalPlus(bool chat) : chat_(chat) {}

  Status Load(const TaskOptions& options) {
    H1_RETURN_IF_ERROR(CheckAllowed(
        name(), options,
        {"limit", "max_new_tokens", "repeats", "temperature", "top_p", "chat", "system"}));
    H1_ASSIGN_OR_RETURN(form_, ParseChatForm(name(), options.chat));
    if (!chat_ && form_ != ChatForm::kNone)
      return InvalidArgument(
          "task humanevalplus: chat: EvalPlus asks in other words through a chat template: use the "
          "task humanevalplus_chat");
    H1_RETURN_IF_ERROR(CheckSampling(name(), options));
    H1_ASSIGN_OR_RETURN(max_new_tokens_, Or(name(), "max_new_tokens", options.max_new_tokens,
                                            kDefaultTokens, 1, 1 << 20));
    temperature_ = options.temperature;
    top_p_ = options.top_p;
    instruction_ = options.system;
    H1_ASSIGN_OR_RETURN(
        documents_,
        ReadProblems(options, kFile, {"task_id", "prompt", "canonical_solution", "entry_point"},
                     digest_));
    // The check reads a row as Python's json does: its numbers may be wider than ours.
    const std::filesystem::path file = options.data / kFile;
    H1_ASSIGN_OR_RETURN(const std::string text, ReadMaybeGzip(file));
    std::vector<std::string_view> lines;
    for (const std::string_view line : SplitLines(text)) {
      if (line.find_first_not_of(" \t\r") != std::string_view::npos) lines.push_back(line);
    }
    for (std::size_t i = 0; i < documents_.size(); ++i) {
      const Json& row = documents_[i].data;
      for (const char* key : {"base_input", "plus_input", "atol"}) {
        if (row.Find(key) == nullptr)
          return Corrupt("{}: row {}: the key \"{}\" is missing", file.string(), i + 1, key);
      }
      Json data;
      data.Set("prompt", *row.Find("prompt"));
      data.Set("entry_point", *row.Find("entry_point"));
      data.Set("row", std::string(lines[i]));
      documents_[i].data = std::move(data);
    }
    return Status::Ok();
  }

  const std::vector<Document>& documents() const override { return documents_; }
  bool needs_judge() const override { return true; }
  std::string data_digest() const override { return digest_; }

  Request BuildRequest(const Document& document) const override {
    const std::string prompt = Strip(document.data.Find("prompt")->as_string());
    Request request;
    Prompt parts;
    parts.instruction = instruction_;
    parts.question = prompt + "\n";
    request.stops = {"<|endoftext|>", "<|endofmask|>", "</s>",
                     "\nif __name__", "\ndef main(",   "\nprint("};
    if (chat_) {
      parts.question =
          "Please provide a self-contained Python script that solves the following problem in a "
          "markdown code block:\n```\n" +
          prompt + "\n```\n";
      parts.started =
          "Below is a Python script with a self-contained function that solves the problem and "
          "passes corresponding tests:\n```python\n";
      request.stops.emplace_back("\n```\n");
    } else {
      for (const char* stop : {"\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert "})
        request.stops.emplace_back(stop);
    }
    request.context = RenderPrompt(parts, form_);
    request.max_new_tokens = max_new_tokens_;
    request.temperature = temperature_;
    request.top_p = top_p_;
    return request;
  }

  Score ScoreResponse(const Document& document, const Response& response,
                      CodeJudge* judge) const override {
    std::string code = TabsToSpaces(response.text);
    if (!chat_) code = Strip(document.data.Find("prompt")->as_string()) + "\n" + code;
    bool base = false;
    Score score = judge == nullptr ? Unjudged() : JudgeBoth(document, code, *judge, base);
    score.scores = {{"pass@1", score.verdict == "pass" ? 1.0 : 0.0},
                    {"base_pass@1", base ? 1.0 : 0.0}};
    return score;
  }

  Json Describe() const override {
    Json json = DescribeGeneration({"pass@1", "base_pass@1"}, "micro").Set("code", true);
    json.Set("protocol",
             fmt::format("EvalPlus, HumanEval+ v0.1.10, {} prompt: at most {} new tokens, {}, "
                         "sanitised; pass@1 needs base and plus inputs, each within 4 s or 4 times "
                         "the canonical solution's time, 60 s in all{}",
                         chat_ ? "chat" : "completion", max_new_tokens_,
                         temperature_ == 0 ? "greedy" : fmt::format("temperature {}", temperature_),
                         ChatNote(form_)));
    return json;
  }

 private:
  const char* name() const { return chat_ ? "humanevalplus_chat" : "humanevalplus"; }

  static Score Unjudged() {
    Score score;
    score.verdict = "sandbox_error";
    score.detail = "code was not judged: no sandbox";
    return score;
  }

  static Score Sanitize(const std::string& code, const Json& entry_point, CodeJudge& judge) {
    CodeJob job;
    job.program = kSanitizeProgram;
    job.entry_point = "sanitize";
    job.tests = "def check(sanitize):\n    return sanitize(DATA['code'], DATA['entry_point'])\n";
    job.data.Set("code", code).Set("entry_point", entry_point);
    job.wall_seconds = kSanitizeSeconds;
    return judge.Run(job);
  }

  /// Sanitises, then judges the base inputs and, if they pass, the plus inputs, each in a process
  /// of its own as upstream.
  static Score JudgeBoth(const Document& document, const std::string& code, CodeJudge& judge,
                         bool& base) {
    Score clean = Sanitize(code, *document.data.Find("entry_point"), judge);
    if (clean.verdict != "pass") {
      clean.detail = "taking out the code: " + clean.detail;
      if (clean.verdict != "sandbox_error") clean.verdict = "fail";
      return clean;
    }
    CodeJob job;
    job.program = clean.extracted;
    job.entry_point = document.data.Find("entry_point")->as_string();
    job.tests = kPlusCheckProgram;
    job.wall_seconds = kCheckSeconds;
    job.memory_bytes = kMemoryBytes;
    job.message_bytes = kMessageBytes;
    Score score;
    for (const char* part : {"base", "plus"}) {
      job.data.Set("row", *document.data.Find("row")).Set("part", part);
      score = judge.Run(job);
      if (score.verdict != "pass") break;
      if (std::string_view(part) == "base") base = true;
    }
    score.extracted = clean.extracted;
    return score;
  }

  bool chat_;  // the chat wording, with or without a template
  ChatForm form_ = ChatForm::kNone;
  std::string instruction_;
  std::int64_t max_new_tokens_ = kDefaultTokens;
  double temperature_ = 0, top_p_ = 1;
  std::vector<Document> documents_;
  std::string digest_;
};

struct Completion final : HumanEvalPlus {
  Completion() : HumanEvalPlus(false) {}
};
struct Chat final : HumanEvalPlus {
  Chat() : HumanEvalPlus(true) {}
};

}  // namespace

const Registration kHumanEvalPlus("humanevalplus",
                                  "HumanEval with about 80 times the tests, as EvalPlus judges it",
                                  MakeTask<Completion>);
const Registration kHumanEvalPlusChat("humanevalplus_chat",
                                      "the same, asked as a chat with a started answer",
                                      MakeTask<Chat>);

}  // namespace h1bench::tasks
