#include <algorithm>
#include <set>

#include "base/file.h"
#include "base/sha256.h"
#include "base/text.h"
#include "tasks/data_file.h"
#include "tasks/options.h"
#include "tasks/parallel.h"
#include "tasks/prompt.h"
#include "tasks/registry.h"
#include "tasks/ruler/generator.h"
#include "tasks/ruler/import.h"
#include "tasks/ruler/scoring.h"
#include "tasks/scoring/answers.h"

namespace h1bench::tasks {
namespace {

using ruler::Job;
using ruler::Sample;
using ruler::Spec;
using ruler::Variant;

constexpr std::int64_t kMaxLength = std::int64_t{1} << 20;
constexpr double kThreshold = 85.6;  // Llama-2-7B (chat) at 4K, upstream's bar for "effective"

class Ruler final : public Task {
 public:
  Status Load(const TaskOptions& options) {
    H1_RETURN_IF_ERROR(CheckAllowed("ruler", options,
                                    {"lengths", "samples", "subjects", "ruler_variant", "ruler_qa",
                                     "ruler_files", "chat", "system"}));
    H1_RETURN_IF_ERROR(ReadSwitches(options));
    H1_RETURN_IF_ERROR(ReadLengths(options));
    H1_RETURN_IF_ERROR(ReadTasks(options));
    std::vector<Job> jobs;
    for (const std::int64_t length : lengths_) {
      for (const Spec* spec : specs_)
        jobs.push_back({spec, length - Wrapping(options), samples_, variant_});
    }
    std::vector<std::vector<Sample>> made(jobs.size());
    H1_RETURN_IF_ERROR(options.ruler_files.empty() ? Draw(options, jobs, made)
                                                   : Import(options, jobs, made));
    for (std::size_t job = 0; job < jobs.size(); ++job)
      AddDocuments(lengths_[job / specs_.size()], *jobs[job].spec, made[job]);
    return Status::Ok();
  }

  const std::vector<Document>& documents() const override { return documents_; }
  std::string data_digest() const override { return digest_; }

  Request BuildRequest(const Document& document) const override {
    Request request;
    Prompt prompt;
    prompt.instruction = instruction_;
    prompt.question = document.data.Find("input")->as_string();
    prompt.started = document.data.Find("prefix")->as_string();
    if (chat_ != ChatForm::kNone) prompt.started = Strip(prompt.started);
    request.context = RenderPrompt(prompt, chat_);
    request.max_new_tokens = SpecOf(document).new_tokens;
    return request;
  }

  /// `all`: the share of answers found; `part` (qa): whether one of them is.
  Score ScoreResponse(const Document& document, const Response& response,
                      CodeJudge*) const override {
    std::vector<std::string> answers;
    for (const Json& answer : document.data.Find("outputs")->as_array())
      answers.push_back(answer.as_string());
    Score score;
    score.extracted = ruler::CleanResponse(response.text);
    const std::size_t found = ruler::CountFound(score.extracted, answers);
    double value = static_cast<double>(found) / static_cast<double>(answers.size());
    if (SpecOf(document).kind == ruler::Kind::kQa && qa_max_) value = found > 0 ? 1 : 0;
    score.scores = {{"string_match", value}};
    score.detail = fmt::format("{} of {} answers found", found, answers.size());
    return score;
  }

  Json Describe() const override {
    Json lengths{Json::Array{}}, by_length, json;
    for (const std::int64_t length : lengths_) lengths.Push(length);
    by_length.Set("lengths", lengths).Set("threshold", kThreshold);
    json.Set("kind", "generate_until")
        .Set("shots", 0)
        .Set("primary", "string_match")
        .Set("metrics", Strings({"string_match"}))
        .Set("max_new_tokens", specs_.front()->new_tokens);
    json.Set("chance", 0.0).Set("groups", Json(Json::Object{})).Set("by_length", by_length);
    json.Set("headline", "macro").Set("version", 1).Set("protocol", Protocol());
    return json;
  }

 private:
  static const Spec& SpecOf(const Document& document) {
    return *ruler::FindSpec(document.subset.substr(document.subset.find('/') + 1));
  }
  static std::string Subset(std::int64_t length, const Spec& spec) {
    return fmt::format("{}/{}", length, spec.name);
  }

  Status ReadSwitches(const TaskOptions& options) {
    if (!options.ruler_variant.empty() && options.ruler_variant != "nvidia" &&
        options.ruler_variant != "lm-eval") {
      return InvalidArgument("task ruler: ruler_variant: expected nvidia or lm-eval, found {}",
                             VisibleText(options.ruler_variant));
    }
    if (options.ruler_variant == "lm-eval") variant_ = Variant::kLmEval;
    if (!options.ruler_qa.empty() && options.ruler_qa != "max" && options.ruler_qa != "mean") {
      return InvalidArgument("task ruler: ruler_qa: expected max or mean, found {}",
                             VisibleText(options.ruler_qa));
    }
    qa_max_ = options.ruler_qa.empty() ? variant_ == Variant::kNvidia : options.ruler_qa == "max";
    H1_ASSIGN_OR_RETURN(samples_, Or("ruler", "samples", options.samples, -1, 1, 100'000));
    H1_ASSIGN_OR_RETURN(chat_, ParseChatForm("ruler", options.chat));
    instruction_ = options.system;
    imported_ = !options.ruler_files.empty();
    if (imported_ && (chat_ != ChatForm::kNone || !instruction_.empty()))
      return InvalidArgument(
          "task ruler: ruler_files: upstream's prompts are asked as they are: chat and system do "
          "not apply");
    if (samples_ == -1 && !imported_) samples_ = 500;  // upstream's
    return Status::Ok();
  }

  Status ReadLengths(const TaskOptions& options) {
    lengths_ = options.lengths.empty() ? std::vector<std::int64_t>{4096} : options.lengths;
    std::sort(lengths_.begin(), lengths_.end());
    for (std::size_t i = 0; i < lengths_.size(); ++i) {
      if (lengths_[i] < 1024 || lengths_[i] > kMaxLength)
        return InvalidArgument("task ruler: lengths: expected 1024 to {}, found {}", kMaxLength,
                               lengths_[i]);
      if (i > 0 && lengths_[i] == lengths_[i - 1])
        return InvalidArgument("task ruler: lengths: {} is there twice", lengths_[i]);
    }
    return Status::Ok();
  }

  Status ReadTasks(const TaskOptions& options) {
    std::vector<std::string> names;
    for (const Spec& spec : ruler::Specs()) names.emplace_back(spec.name);
    const std::set<std::string> wanted(options.subjects.begin(), options.subjects.end());
    for (const std::string& name : wanted) {
      if (ruler::FindSpec(name) != nullptr) continue;
      const std::string near = NearestWord(name, names);
      return InvalidArgument("task ruler: subjects: no task \"{}\".{} Known: {}", VisibleText(name),
                             near.empty() ? "" : fmt::format(" Did you mean \"{}\"?", near),
                             fmt::join(names, " "));
    }
    for (const Spec& spec : ruler::Specs()) {
      if (wanted.empty() || wanted.count(spec.name) != 0) specs_.push_back(&spec);
    }
    return Status::Ok();
  }

  Status Draw(const TaskOptions& options, const std::vector<Job>& jobs,
              std::vector<std::vector<Sample>>& made) {
    if (!options.count_tokens)
      return InvalidArgument(
          "task ruler: its prompts fill a length in tokens of a model: give one (--model DIR)");
    ruler::Needs needs;
    for (const Spec* spec : specs_) {
      needs.pairs = needs.pairs || spec->kind == ruler::Kind::kNiah;
      needs.words = needs.words || spec->kind == ruler::Kind::kCwe;
      needs.essays = needs.essays || spec->haystack == ruler::Haystack::kEssay;
      needs.squad = needs.squad || (spec->kind == ruler::Kind::kQa && !spec->hotpot);
      needs.hotpot = needs.hotpot || spec->hotpot;
    }
    H1_ASSIGN_OR_RETURN(const ruler::Sources sources, ruler::ReadSources(options.data, needs));
    H1_RETURN_IF_ERROR(Digest(options, sources));
    // Every job has a generator of its own, so they can be drawn at the same time.
    std::vector<Status> failed(jobs.size());
    ParallelFor(jobs.size(), [&](std::size_t job) {  // from the last: long ones first
      if (!options.Holds(lengths_[job / specs_.size()])) return;
      auto samples = ruler::Generate(jobs[job], sources, options.count_tokens);
      if (samples.ok()) {
        made[job] = std::move(*samples);
      } else {
        failed[job] = samples.status();
      }
    });
    return Refused(failed);
  }

  /// The first job that failed with its reason, and the names of the others.
  Status Refused(const std::vector<Status>& failed) const {
    Status refusal;
    std::string others;
    for (std::size_t job = 0; job < failed.size(); ++job) {
      if (failed[job].ok()) continue;
      if (refusal.ok()) {
        refusal = failed[job].WithContext("task ruler");
      } else {
        others += " " + Subset(lengths_[job / specs_.size()], *specs_[job % specs_.size()]);
      }
    }
    if (others.empty()) return refusal;
    return {refusal.code(), refusal.message() + " Also refused:" + others};
  }

  Status Digest(const TaskOptions& options, const ruler::Sources& sources) {
    DataDigest digest;
    for (const std::string& file : sources.files)
      H1_RETURN_IF_ERROR(digest.Add(options.data, file));
    digest_ = digest.Finish();
    if (sources.essays.words.empty()) return Status::Ok();
    const std::string split = ruler::EssayDigest(sources.essays);
    splitter_ = fmt::format("{} ({})", ruler::kSplitterName, split.substr(0, 12));
    digest_ = Sha256Hex(digest_ + split);
    return Status::Ok();
  }

  Status Import(const TaskOptions& options, const std::vector<Job>& jobs,
                std::vector<std::vector<Sample>>& made) {
    std::string digests;
    for (std::size_t job = 0; job < jobs.size(); ++job) {
      std::filesystem::path file;
      H1_ASSIGN_OR_RETURN(made[job], ruler::ImportSamples(options.ruler_files, jobs[job], file));
      H1_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(file));
      digests += Subset(jobs[job].length, *jobs[job].spec) + " " + Sha256Hex(bytes) + "\n";
    }
    digest_ = Sha256Hex(digests);
    return Status::Ok();
  }

  /// Tokens around a sample, which upstream takes off the length beforehand: the chat template, the
  /// system prompt, a BOS.
  std::int64_t Wrapping(const TaskOptions& options) const {
    if (imported_) return 0;
    Prompt empty;
    empty.instruction = instruction_;
    const std::string text = RenderPrompt(empty, chat_);
    const std::int64_t bos = options.bos == "once" && chat_ == ChatForm::kNone ? 1 : 0;
    return bos + (text.empty() || !options.count_tokens ? 0 : options.count_tokens(text));
  }

  void AddDocuments(std::int64_t length, const Spec& spec, std::vector<Sample>& samples) {
    for (std::size_t i = 0; i < samples.size(); ++i) {
      Sample& sample = samples[i];
      Document document;
      document.subset = Subset(length, spec);
      document.index = static_cast<std::int64_t>(i);
      document.gold = fmt::format("{}", fmt::join(sample.outputs, ", "));
      document.fills_tokens = length;
      document.data.Set("input", std::move(sample.input))
          .Set("prefix", std::move(sample.prefix))
          .Set("outputs", Strings(sample.outputs))
          .Set("length", sample.length);
      documents_.push_back(std::move(document));
    }
  }

  std::string Protocol() const {
    std::string text = fmt::format(
        "RULER, {} wording, {} samples a task and length, seed 42, greedy, qa scored by the {}",
        variant_ == Variant::kNvidia ? "NVIDIA's" : "lm-eval's",
        samples_ == -1 ? "all" : std::to_string(samples_), qa_max_ ? "maximum" : "mean");
    text += ChatNote(chat_);
    if (imported_) return text + ", prompts imported from upstream's files";
    if (!splitter_.empty()) text += ", essay sentences by " + splitter_;
    return text;
  }

  ChatForm chat_ = ChatForm::kNone;
  std::string instruction_;
  Variant variant_ = Variant::kNvidia;
  bool qa_max_ = true, imported_ = false;
  std::int64_t samples_ = 500;
  std::vector<std::int64_t> lengths_;
  std::vector<const Spec*> specs_;
  std::vector<Document> documents_;
  std::string digest_, splitter_;
};

}  // namespace

const Registration kRuler("ruler", "RULER's thirteen long-context tasks, at any length",
                          MakeTask<Ruler>);

}  // namespace h1bench::tasks
