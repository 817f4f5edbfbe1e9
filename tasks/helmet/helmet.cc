#include <algorithm>
#include <set>

#include "base/sha256.h"
#include "base/text.h"
#include "tasks/helmet/dataset.h"
#include "tasks/helmet/scoring.h"
#include "tasks/options.h"
#include "tasks/parallel.h"
#include "tasks/prompt.h"
#include "tasks/registry.h"
#include "tasks/ruler/fill.h"
#include "tasks/scoring/answers.h"

namespace h1bench::tasks {
namespace {

using helmet::Dataset;
using helmet::Item;
using helmet::kLengths;

std::string Key(std::string_view category) {  // "Re-rank" is asked for as rerank
  std::string key(category);
  std::erase(key, '-');
  for (char& c : key) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return key;
}

class Helmet final : public Task {
 public:
  Status Load(const TaskOptions& options) {
    H1_RETURN_IF_ERROR(CheckAllowed(
        "helmet", options, {"lengths", "samples", "subjects", "chat", "system", "helmet_recall"}));
    H1_RETURN_IF_ERROR(ReadOptions(options));
    std::string digests;
    for (const std::size_t place : places_) {
      for (const Dataset* dataset : datasets_) {
        const std::size_t first = asked_.size();
        H1_RETURN_IF_ERROR(Read(options, *dataset, place, digests));
        if (options.Holds(kLengths[place])) Cut(options, first);
      }
    }
    digest_ = Sha256Hex(digests);
    return Status::Ok();
  }

  const std::vector<Document>& documents() const override { return documents_; }
  std::string data_digest() const override { return digest_; }

  Request BuildRequest(const Document& document) const override {
    const Asked& asked = Find(document);
    Request request;
    request.context = Prompt(asked, asked.item.context().substr(0, asked.kept));
    if (asked.dataset->stop_at_line) request.stops = {"\n"};
    request.max_new_tokens = asked.dataset->new_tokens;
    return request;
  }

  Score ScoreResponse(const Document& document, const Response& response,
                      CodeJudge*) const override {
    const Asked& asked = Find(document);
    const std::string output = Chat(*asked.dataset)
                                   ? response.text
                                   : Fill(asked, asked.dataset->started, "") + response.text;
    const auto verdict = helmet::ScoreOutput(*asked.dataset, asked.item, output);
    Score score;
    score.extracted = verdict.ok() ? verdict->parsed : std::string(kRegexLimit);
    score.scores = {{"score", verdict.ok() ? verdict->score : 0.0}};
    if (!verdict.ok()) score.verdict = kRegexLimitVerdict;
    return score;
  }

  Json Describe() const override {
    Json lengths{Json::Array{}}, categories{Json::Object{}}, by_length, json;
    for (const std::size_t place : places_) lengths.Push(kLengths[place]);
    for (const Dataset* dataset : datasets_) {
      const Json* known = categories.Find(dataset->category);
      Json names = known != nullptr ? *known : Json{Json::Array{}};
      names.Push(dataset->name);
      categories.Set(dataset->category, std::move(names));
    }
    by_length.Set("lengths", lengths).Set("categories", categories);
    json.Set("kind", "generate_until")
        .Set("shots", 2)
        .Set("primary", "score")
        .Set("metrics", Strings({"score"}))
        .Set("chance", Json());
    json.Set("groups", Json(Json::Object{})).Set("by_length", by_length);
    if (form_ != ChatForm::kNone) json.Set("partly_chat", true);
    json.Set("headline", "categories").Set("version", 1).Set("protocol", Protocol());
    return json;
  }

 private:
  /// A question under one length.
  struct Asked {
    const Dataset* dataset = nullptr;
    std::int64_t length = 0;
    Item item;
    std::size_t kept = std::string::npos;  // bytes of the context
  };

  const Asked& Find(const Document& document) const {
    return asked_[static_cast<std::size_t>(document.data.Find("place")->as_int())];
  }
  bool Chat(const Dataset& dataset) const { return dataset.chat && form_ != ChatForm::kNone; }

  Status ReadOptions(const TaskOptions& options) {
    if (!options.count_tokens || !options.cut_tokens)
      return InvalidArgument(
          "task helmet: its prompts are cut to a length in tokens of a model: give one (--model "
          "DIR)");
    H1_ASSIGN_OR_RETURN(form_, ParseChatForm("helmet", options.chat));
    if (form_ == ChatForm::kMultiturn)
      return InvalidArgument(
          "task helmet: chat: HELMET's worked examples are part of its one message: expected "
          "single, found multiturn");
    instruction_ = options.system;
    if (!instruction_.empty() && form_ == ChatForm::kNone)
      return InvalidArgument(
          "task helmet: system: HELMET has a system message in chats only: add chat: single");
    native_ = options.helmet_recall == "native";
    H1_ASSIGN_OR_RETURN(samples_, Or("helmet", "samples", options.samples, -1, 1, 100'000));
    H1_RETURN_IF_ERROR(ReadLengths(options));
    return ReadSubjects(options);
  }

  Status ReadLengths(const TaskOptions& options) {
    std::set<std::size_t> places;
    for (const std::int64_t length : options.lengths) {
      const auto found = std::find(kLengths.begin(), kLengths.end(), length);
      if (found == kLengths.end())
        return InvalidArgument("task helmet: lengths: expected some of HELMET's {}, found {}",
                               fmt::join(kLengths, " "), length);
      if (!places.insert(static_cast<std::size_t>(found - kLengths.begin())).second)
        return InvalidArgument("task helmet: lengths: {} is there twice", length);
    }
    if (places.empty()) places.insert(kLengths.size() - 1);  // HELMET's own default
    places_.assign(places.begin(), places.end());
    return Status::Ok();
  }

  /// Names of data sets and of categories.
  Status ReadSubjects(const TaskOptions& options) {
    std::set<std::string> known, wanted(options.subjects.begin(), options.subjects.end());
    for (const Dataset& dataset : helmet::Datasets()) {
      known.insert({dataset.name, Key(dataset.category)});
      if (wanted.empty() || wanted.count(dataset.name) != 0 ||
          wanted.count(Key(dataset.category)) != 0)
        datasets_.push_back(&dataset);
    }
    for (const std::string& name : wanted) {
      if (known.count(name) != 0) continue;
      const std::string near = NearestWord(name, {known.begin(), known.end()});
      return InvalidArgument(
          "task helmet: subjects: no data set or category \"{}\".{} Known: {}", VisibleText(name),
          near.empty() ? "" : fmt::format(" Did you mean \"{}\"?", near), fmt::join(known, " "));
    }
    return Status::Ok();
  }

  Status Read(const TaskOptions& options, const Dataset& dataset, std::size_t place,
              std::string& digests) {
    helmet::Reading reading{
        dataset, place, samples_ == -1 ? dataset.samples : samples_, options.data / "helmet",
        options, {}};
    helmet::Reader read = dataset.read;
    if (native_ && read == helmet::ReadJsonKv) read = helmet::DrawJsonKv;
    if (native_ && read == helmet::ReadRuler) read = helmet::DrawRuler;
    Result<std::vector<Item>> items = read(reading);
    if (!items.ok()) return items.status().WithContext("task helmet");
    own_cut_ = own_cut_ || reading.own_cut;
    for (const auto& [name, digest] : reading.files)
      digests += fmt::format("{} {}  {}\n", kLengths[place], digest, name);
    for (Item& item : *items) {
      Document document;
      document.subset = fmt::format("{}/{}", kLengths[place], dataset.name);
      document.index = item.row;
      document.id = item.id;
      document.gold = fmt::format("{}", fmt::join(item.answers, " | "));
      document.fills_tokens = kLengths[place];
      document.data.Set("place", static_cast<std::int64_t>(asked_.size()));
      documents_.push_back(std::move(document));
      asked_.push_back({&dataset, kLengths[place], std::move(item)});
    }
    return Status::Ok();
  }

  /// As upstream: when prompt and answer do not fit the length, as many tokens as are too many are
  /// taken from the end of the context.
  void Cut(const TaskOptions& options, std::size_t first) {
    ParallelFor(asked_.size() - first, [&](std::size_t i) {
      Asked& asked = asked_[first + i];
      const std::string context = asked.item.context();
      const std::int64_t bos = options.bos == "once" && !Chat(*asked.dataset) ? 1 : 0;
      const std::int64_t room = asked.length - asked.dataset->new_tokens - bos;
      const std::int64_t over = options.count_tokens(Prompt(asked, context)) - room;
      if (over > 0) asked.kept = options.cut_tokens(context, over);
    });
  }

  static std::string Fill(const Asked& asked, std::string_view text, std::string_view context) {
    std::vector<std::pair<std::string_view, std::string_view>> values = {
        {"context", context}, {"question", asked.item.question}, {"demos", asked.item.demos}};
    for (const auto& [name, value] : asked.item.more) values.emplace_back(name, value);
    return ruler::FillIn(text, values);
  }

  std::string Prompt(const Asked& asked, std::string_view context) const {
    const Dataset& dataset = *asked.dataset;
    tasks::Prompt prompt;
    prompt.question = Fill(asked, dataset.user, context);
    if (Chat(dataset)) {
      prompt.instruction = instruction_;
      return RenderPrompt(prompt, form_);
    }
    prompt.started = dataset.joint + Fill(asked, dataset.started, "");
    return RenderPrompt(prompt, ChatForm::kNone);
  }

  std::string Protocol() const {
    std::string text = "HELMET's judge-free data sets, seed 42, greedy, contexts cut to the length";
    if (samples_ != -1) text += fmt::format(", {} samples a data set", samples_);
    if (native_) text += ", Recall drawn by h1bench";
    if (own_cut_) text += ", stories cut with the model's tokenizer (HELMET: Llama 2's)";
    return form_ == ChatForm::kNone ? text : text + ", chat template (InfBench only)";
  }

  ChatForm form_ = ChatForm::kNone;
  std::string instruction_;
  bool native_ = false, own_cut_ = false;
  std::int64_t samples_ = -1;
  std::vector<std::size_t> places_;  // in kLengths
  std::vector<const Dataset*> datasets_;
  std::vector<Asked> asked_;
  std::vector<Document> documents_;
  std::string digest_;
};

}  // namespace

const Registration kHelmet("helmet",
                           "HELMET's recall, RAG, ICL, re-ranking and novels, without a judge",
                           MakeTask<Helmet>);

}  // namespace h1bench::tasks
