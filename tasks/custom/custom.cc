#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/file.h"
#include "base/text.h"
#include "tasks/custom/item.h"
#include "tasks/data_file.h"
#include "tasks/fewshot/draws.h"
#include "tasks/options.h"
#include "tasks/prompt.h"
#include "tasks/registry.h"
#include "tasks/scoring/answers.h"

/// Tasks that a YAML file describes.
namespace h1bench::tasks {
namespace custom {
namespace {

constexpr std::uint64_t kMostBytes = 256 << 10;  // of a task file: it is stored with every run

std::vector<std::string> FromJson(const Json& list) {
  std::vector<std::string> items;
  for (const Json& item : list.as_array()) items.push_back(item.as_string());
  return items;
}

/// Place of the largest value after dividing by the lengths; the first of equals, as np.argmax.
std::size_t Best(const std::vector<double>& values, const std::vector<double>& lengths) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < values.size(); ++i) {
    if (values[i] / lengths[i] > values[best] / lengths[best]) best = i;
  }
  return best;
}

class Custom final : public Task {
 public:
  Status Load(const TaskOptions& options) {
    H1_ASSIGN_OR_RETURN(text_, ReadFile(options.file, kMostBytes));
    H1_ASSIGN_OR_RETURN(file_, ParseTaskFile(text_, options.file));
    H1_RETURN_IF_ERROR(ReadOptions(options));
    DataDigest digest;
    digest.AddBytes(options.file.filename().string(), text_);
    H1_ASSIGN_OR_RETURN(const Table table, ReadTable(file_.data, digest));
    std::vector<Item> items;
    std::map<std::string, std::int64_t> of_subset;
    std::set<std::string> ids;
    for (std::size_t row = 0; row < table.rows().size(); ++row) {
      H1_ASSIGN_OR_RETURN(Item item, MakeItem(file_, table, row));
      if (file_.id && !ids.insert(item.id).second) {
        return table.Wrong(
            row, Corrupt("the id \"{}\" is there twice", VisibleText(item.id.substr(0, 60))),
            file_.id_origin);
      }
      if (options.limit < 0 || of_subset[item.subset]++ < options.limit)
        H1_RETURN_IF_ERROR(AddDocument(table, row, item));
      items.push_back(std::move(item));
    }
    H1_RETURN_IF_ERROR(AddShots(table, items, options, digest));
    digest_ = digest.Finish();
    return Status::Ok();
  }

  const std::vector<Document>& documents() const override { return documents_; }
  std::string data_digest() const override { return digest_; }

  Request BuildRequest(const Document& document) const override {
    Prompt prompt;
    prompt.instruction = instruction_;
    prompt.system = document.data.Find("system")->as_string();
    prompt.question = document.data.Find("question")->as_string();
    if (!shots_of_.empty()) {
      for (const std::size_t row : shots_of_[static_cast<std::size_t>(document.index)])
        prompt.shots.push_back(shots_[row]);
    }
    Request request;
    request.context = RenderPrompt(prompt, chat_);
    if (file_.multiple_choice) {
      for (const Json& choice : document.data.Find("choices")->as_array())
        request.continuations.push_back(Continuation(choice.as_string(), chat_));
      return request;
    }
    request.stops = file_.stops;
    request.max_new_tokens = file_.max_new_tokens;
    request.temperature = temperature_;
    request.top_p = top_p_;
    return request;
  }

  Score ScoreResponse(const Document& document, const Response& response,
                      CodeJudge*) const override {
    return file_.multiple_choice ? ScoreChoices(document, response.loglikelihoods)
                                 : ScoreText(document, response.text);
  }

  Json Describe() const override {
    Json json;
    json.Set("kind", file_.multiple_choice ? "loglikelihood" : "generate_until")
        .Set("shots", shots_wanted_)
        .Set("primary", file_.metrics[0])
        .Set("metrics", Strings(file_.metrics))
        .Set("chance", chance_ / static_cast<double>(documents_.size()))
        .Set("groups", Json(Json::Object{}))
        .Set("headline", "micro")
        .Set("version", 1)
        .Set("protocol", Protocol())
        .Set("definition", text_);
    return json;
  }

 private:
  Status ReadOptions(const TaskOptions& options) {
    std::vector<std::string> allowed = {"shots", "limit", "fewshot_world_size", "chat", "system"};
    if (!file_.multiple_choice)
      allowed.insert(allowed.end(), {"max_new_tokens", "repeats", "temperature", "top_p"});
    else
      allowed.push_back("log_softmax");
    H1_RETURN_IF_ERROR(CheckAllowed(file_.name, options, allowed));
    H1_RETURN_IF_ERROR(CheckSampling(file_.name, options));
    H1_ASSIGN_OR_RETURN(chat_, ParseChatForm(file_.name, options.chat));
    instruction_ = options.system;
    H1_ASSIGN_OR_RETURN(shots_wanted_,
                        Or(file_.name, "shots", options.shots, file_.shots.count, 0, 1000));
    H1_ASSIGN_OR_RETURN(
        file_.max_new_tokens,
        Or(file_.name, "max_new_tokens", options.max_new_tokens, file_.max_new_tokens, 1, 1 << 20));
    if (shots_wanted_ > 0 && !file_.shots.data)
      return InvalidArgument("task {}: shots: {} asked for, but the task file has no `shots: data`",
                             file_.name, shots_wanted_);
    temperature_ = options.temperature;
    top_p_ = options.top_p;
    return Status::Ok();
  }

  static Result<Table> ReadTable(const DataFile& file, DataDigest& digest) {
    H1_ASSIGN_OR_RETURN(Table table, Table::Read(file));
    H1_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(file.path));
    digest.AddBytes(file.name, bytes);
    return table;
  }

  Status AddDocument(const Table& table, std::size_t row, const Item& item) {
    Document document;
    std::string system;
    if (file_.system) {
      H1_ASSIGN_OR_RETURN(system, table.Render(row, *file_.system, file_.system_origin));
    }
    document.data.Set("system", system);
    document.index = static_cast<std::int64_t>(row);
    document.subset = item.subset;
    document.id = item.id;
    document.gold = file_.multiple_choice    ? item.shown()
                    : item.golds.size() == 1 ? item.golds[0]
                                             : WriteJson(Strings(item.golds));
    document.data.Set("question", item.question);
    if (file_.multiple_choice) {
      document.data.Set("choices", Strings(item.choices))
          .Set("right", static_cast<std::uint64_t>(item.right));
      chance_ += 1 / static_cast<double>(item.choices.size());
    } else {
      document.data.Set("golds", Strings(item.golds));
    }
    documents_.push_back(std::move(document));
    return Status::Ok();
  }

  /// lm-eval's rule where shots come from the documents' own file: one more is drawn, and the
  /// document itself, or else the last, is left out.
  Status AddShots(const Table& table, const std::vector<Item>& items, const TaskOptions& options,
                  DataDigest& digest) {
    if (shots_wanted_ == 0) return Status::Ok();
    const DataFile& source = *file_.shots.data;
    const bool same = source.path == file_.data.path;
    std::vector<Item> others;
    if (!same) {
      H1_ASSIGN_OR_RETURN(const Table rows, ReadTable(source, digest));
      for (std::size_t row = 0; row < rows.rows().size(); ++row) {
        H1_ASSIGN_OR_RETURN(Item item, MakeItem(file_, rows, row));
        others.push_back(std::move(item));
      }
    }
    const std::vector<Item>& from = same ? items : others;
    for (const Item& item : from) shots_.push_back({item.question, item.shown()});
    const auto wanted = static_cast<std::size_t>(shots_wanted_);
    const std::size_t drawn = wanted + (same ? 1 : 0);
    if (from.size() < drawn)
      return InvalidArgument("{}: shots: {} asked for, {} has {} rows{}", source.origin.place,
                             wanted, source.path.string(), from.size(),
                             same ? ", one of which is the question itself" : "");
    std::vector<std::size_t> first(drawn);
    for (std::size_t i = 0; i < drawn; ++i) first[i] = i;
    shots_of_ = file_.shots.draw
                    ? DrawShots(items.size(), from.size(), drawn,
                                file_.shots.seed.value_or(options.seed), options.fewshot_world_size)
                    : std::vector(items.size(), first);
    for (std::size_t d = 0; same && d < shots_of_.size(); ++d) {
      std::erase_if(shots_of_[d],
                    [&](std::size_t row) { return table.rows()[row] == table.rows()[d]; });
      shots_of_[d].resize(std::min(shots_of_[d].size(), wanted));
    }
    return Status::Ok();
  }

  Score ScoreChoices(const Document& document, const std::vector<double>& values) const {
    const std::vector<std::string> choices = FromJson(*document.data.Find("choices"));
    const auto right = static_cast<std::size_t>(document.data.Find("right")->as_uint());
    Score score;
    const bool usable =
        values.size() == choices.size() &&
        std::none_of(values.begin(), values.end(), [](double x) { return std::isnan(x); });
    if (!usable)
      score.detail = fmt::format("expected {} log-likelihoods that are numbers", choices.size());
    for (const std::string& metric : file_.metrics) {
      if (!usable) {
        score.scores.emplace_back(metric, 0.0);
        continue;
      }
      std::vector<double> lengths;
      for (const std::string& choice : choices) {
        lengths.push_back(metric == "acc"        ? 1.0
                          : metric == "acc_norm" ? static_cast<double>(CountCodePoints(choice))
                                                 : static_cast<double>(choice.size()));
      }
      const std::size_t best = Best(values, lengths);
      if (score.scores.empty()) score.extracted = choices[best];
      score.scores.emplace_back(metric, best == right ? 1.0 : 0.0);
    }
    return score;
  }

  Score ScoreText(const Document& document, const std::string& response) const {
    Score score;
    const Result<std::string> said = ApplySteps(file_.filters, response);
    std::vector<std::string> golds = FromJson(*document.data.Find("golds"));
    for (std::string& gold : golds) gold = Normalise(gold, file_.ignore);
    score.extracted = said.ok() ? *said : std::string(kInvalid);
    if (!said.ok()) {
      score.verdict = kRegexLimitVerdict;
      score.detail = said.status().message();
    }
    const std::string normal = Normalise(score.extracted, file_.ignore);
    for (const std::string& metric : file_.metrics) {
      double best = 0;
      for (const std::string& gold : golds) {
        best = std::max(best, metric == "exact_match" ? ExactMatch(normal, gold)
                              : metric == "f1"        ? WordF1(normal, gold)
                                                      : Contains(normal, gold));
      }
      score.scores.emplace_back(metric, score.extracted == kInvalid ? 0.0 : best);
    }
    return score;
  }

  std::string Protocol() const {
    const std::string shots =
        shots_wanted_ == 0
            ? "0-shot"
            : fmt::format("{}-shot, {}", shots_wanted_,
                          !file_.shots.draw  ? "the first rows"
                          : file_.shots.seed ? fmt::format("drawn with seed {}", *file_.shots.seed)
                                             : "drawn for each document");
    if (file_.multiple_choice)
      return fmt::format("task file {}: {}, log-likelihood of the choices{}", file_.name, shots,
                         ChatNote(chat_));
    return fmt::format("task file {}: {}, at most {} new tokens, {}{}", file_.name, shots,
                       file_.max_new_tokens,
                       temperature_ == 0 ? "greedy" : fmt::format("temperature {}", temperature_),
                       ChatNote(chat_));
  }

  TaskFile file_;
  std::string text_, digest_;
  ChatForm chat_ = ChatForm::kNone;
  std::string instruction_;
  std::int64_t shots_wanted_ = 0;
  double temperature_ = 0, top_p_ = 1, chance_ = 0;
  std::vector<Document> documents_;
  std::vector<Shot> shots_;                         // all rows of their file
  std::vector<std::vector<std::size_t>> shots_of_;  // by row of the data file; empty: no shots
};

}  // namespace
}  // namespace custom

const Registration kCustom("custom", "a task of your own: the path of a file that ends in .yaml",
                           MakeTask<custom::Custom>);

}  // namespace h1bench::tasks
