#include <algorithm>
#include <set>

#include "base/sha256.h"
#include "base/text.h"
#include "tasks/fewshot/python_random.h"
#include "tasks/niah/haystack.h"
#include "tasks/options.h"
#include "tasks/prompt.h"
#include "tasks/registry.h"
#include "tasks/scoring/regex.h"

namespace h1bench::tasks {
namespace {

constexpr std::int64_t kMaxLength = std::int64_t{1} << 20;  // tokens; four times the longest model

struct Needle {
  std::string key, value;
};

/// A function of (seed, length, depth, number) and nothing else.
Needle DrawNeedle(std::int64_t seed, std::int64_t length, double depth, std::int64_t number) {
  const std::string hex =
      Sha256Hex(fmt::format("h1bench niah {} {} {} {}", seed, length, depth, number));
  PythonRandom random(std::stoull(hex.substr(0, 15), nullptr, 16));
  const auto adjective = kKeyAdjectives[random.RandBelow(kKeyAdjectives.size())];
  const auto noun = kKeyNouns[random.RandBelow(kKeyNouns.size())];
  return {fmt::format("{}-{}", adjective, noun),
          std::to_string(random.RandInt(1'000'000, 9'999'999))};
}

/// The question up to its mark, and behind it what the answer starts with.
Prompt MakePrompt(std::int64_t sentences, double depth, const Needle& needle) {
  const auto place = static_cast<std::int64_t>(static_cast<double>(sentences) * depth / 100.0);
  const std::string hidden =
      ReplaceAll(ReplaceAll(kNeedle, "{key}", needle.key), "{value}", needle.value);
  std::string text(kBefore);
  for (std::int64_t i = 0; i <= sentences; ++i) {
    if (i == place) text += hidden + (i < sentences ? " " : "");
    if (i < sentences) {
      text += kHaystack[static_cast<std::size_t>(i) % kHaystack.size()];
      if (i + 1 < sentences || place == sentences) text += " ";
    }
  }
  constexpr std::size_t kMark = kAfter.find("? ") + 1;
  Prompt prompt;
  prompt.question = text + ReplaceAll(kAfter.substr(0, kMark), "{key}", needle.key);
  prompt.started = ReplaceAll(kAfter.substr(kMark), "{key}", needle.key);
  return prompt;
}

class Niah final : public Task {
 public:
  Status Load(const TaskOptions& options) {
    H1_RETURN_IF_ERROR(CheckAllowed(
        "niah", options, {"lengths", "depths", "samples", "max_new_tokens", "chat", "system"}));
    H1_ASSIGN_OR_RETURN(chat_, ParseChatForm("niah", options.chat));
    instruction_ = options.system;
    bos_tokens_ = options.bos == "once" && chat_ == ChatForm::kNone ? 1 : 0;
    if (!options.count_tokens)
      return InvalidArgument(
          "task niah: its prompts fill a length in tokens of a model: give one (--model DIR)");
    H1_ASSIGN_OR_RETURN(max_new_tokens_,
                        Or("niah", "max_new_tokens", options.max_new_tokens, 32, 1, 4096));
    H1_ASSIGN_OR_RETURN(samples_, Or("niah", "samples", options.samples, 5, 1, 1000));
    lengths_ =
        options.lengths.empty() ? std::vector<std::int64_t>{1024, 2048, 4096} : options.lengths;
    depths_ = options.depths.empty() ? std::vector<double>{0, 25, 50, 75, 100} : options.depths;
    H1_RETURN_IF_ERROR(CheckGrid());
    seed_ = options.seed;
    for (const std::int64_t length : lengths_) {
      if (!options.Holds(length)) continue;
      for (const double depth : depths_) {
        for (std::int64_t number = 0; number < samples_; ++number)
          H1_RETURN_IF_ERROR(AddDocument(options, length, depth, number));
      }
    }
    std::string words;
    for (const std::string_view sentence : kHaystack) words.append(sentence).append("\n");
    digest_ = Sha256Hex(words + std::string(kBefore) + std::string(kNeedle) + std::string(kAfter));
    return Status::Ok();
  }

  const std::vector<Document>& documents() const override { return documents_; }
  std::string data_digest() const override { return digest_; }

  Request BuildRequest(const Document& document) const override {
    Request request;
    request.context = document.data.Find("prompt")->as_string();  // rendered already
    request.stops = {"\n"};
    request.max_new_tokens = max_new_tokens_;
    return request;
  }

  /// 1 when the response holds the number (RULER's `all` scorer with one reference); extracted: its
  /// first 7-digit number.
  Score ScoreResponse(const Document& document, const Response& response,
                      CodeJudge*) const override {
    static const Regex kNumber = Regex::Constant("(?<![0-9])([0-9]{7})(?![0-9])");
    Score score;
    const auto found = kNumber.FindAll(response.text, 1);
    if (found.ok() && !found->empty()) score.extracted = found->front().groups[0].value_or("");
    score.scores = {{"match", response.text.find(document.gold) != std::string::npos ? 1.0 : 0.0}};
    return score;
  }

  Json Describe() const override {
    Json lengths{Json::Array{}}, depths{Json::Array{}};
    for (const std::int64_t length : lengths_) lengths.Push(length);
    for (const double depth : depths_) depths.Push(depth);
    Json grid, json;
    grid.Set("lengths", lengths).Set("depths", depths);
    json.Set("kind", "generate_until")
        .Set("shots", 0)
        .Set("primary", "match")
        .Set("metrics", Strings({"match"}))
        .Set("max_new_tokens", max_new_tokens_);
    json.Set("chance", 0.0)
        .Set("groups", Json(Json::Object{}))
        .Set("grid", grid)
        .Set("headline", "micro")
        .Set("version", 1);
    json.Set("protocol", fmt::format("one 7-digit number in plain sentences, RULER's single-needle "
                                     "wording, {} a cell, at most {} new tokens, greedy{}",
                                     samples_, max_new_tokens_, ChatNote(chat_)));
    return json;
  }

 private:
  /// A depth outside the text would leave the needle out; a cell given twice would count twice.
  Status CheckGrid() const {
    std::set<std::int64_t> lengths;
    for (const std::int64_t length : lengths_) {
      if (length < 1 || length > kMaxLength)
        return InvalidArgument("task niah: lengths: expected 1 to {}, found {}", kMaxLength,
                               length);
      if (!lengths.insert(length).second)
        return InvalidArgument("task niah: lengths: {} is there twice", length);
    }
    std::set<double> depths;
    for (const double depth : depths_) {
      if (!(depth >= 0 && depth <= 100))
        return InvalidArgument("task niah: depths: expected 0 to 100 percent, found {}", depth);
      if (!depths.insert(depth).second)
        return InvalidArgument("task niah: depths: {} is there twice", depth);
    }
    return Status::Ok();
  }

  std::string Text(std::int64_t sentences, double depth, const Needle& needle) const {
    Prompt prompt = MakePrompt(sentences, depth, needle);
    prompt.instruction = instruction_;
    if (chat_ != ChatForm::kNone) prompt.started.erase(0, 1);  // the space behind the question
    return RenderPrompt(prompt, chat_);
  }

  /// Of prompt and answer.
  std::int64_t Tokens(const TaskOptions& options, std::int64_t sentences, double depth,
                      const Needle& needle) const {
    return options.count_tokens(Text(sentences, depth, needle)) + bos_tokens_ + max_new_tokens_;
  }

  /// The largest haystack with which prompt and answer fit the length, found by bisection.
  Status AddDocument(const TaskOptions& options, std::int64_t length, double depth,
                     std::int64_t number) {
    const Needle needle = DrawNeedle(seed_, length, depth, number);
    const auto fits = [&](std::int64_t sentences) {
      return Tokens(options, sentences, depth, needle) <= length;
    };
    if (!fits(1)) {
      return InvalidArgument(
          "task niah: lengths: {} tokens are too few for the question, one sentence and {} new "
          "tokens. Use {} or more.",
          length, max_new_tokens_, Tokens(options, 1, depth, needle));
    }
    std::int64_t low = 1, high = 2;
    for (; high < length && fits(high); high *= 2) low = high;
    high = std::min(high, length);  // a sentence is at least one token
    while (high - low > 1) {
      const std::int64_t middle = low + (high - low) / 2;
      (fits(middle) ? low : high) = middle;
    }
    Document document;
    document.subset = fmt::format("{}/{}", length, depth);
    document.index = number;
    document.gold = needle.value;
    document.fills_tokens = length;
    document.data.Set("prompt", Text(low, depth, needle)).Set("length", length).Set("depth", depth);
    documents_.push_back(std::move(document));
    return Status::Ok();
  }

  ChatForm chat_ = ChatForm::kNone;
  std::string instruction_;
  std::int64_t bos_tokens_ = 0;  // in front of the text
  std::vector<std::int64_t> lengths_;
  std::vector<double> depths_;
  std::int64_t samples_ = 5, max_new_tokens_ = 32, seed_ = 1234;
  std::vector<Document> documents_;
  std::string digest_;
};

}  // namespace

const Registration kNiah("niah",
                         "a 7-digit needle in a haystack, on a grid of context lengths and depths",
                         MakeTask<Niah>);

}  // namespace h1bench::tasks
