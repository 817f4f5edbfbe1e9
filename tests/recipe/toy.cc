#include "tasks/data_file.h"
#include "tasks/options.h"
#include "tasks/registry.h"
#include "tasks/scoring/answers.h"

/// A task made by the steps of tasks/README.md and nothing else: how many letters has a word?
namespace h1bench::tasks {
namespace {

class Toy final : public Task {
 public:
  Status Load(const TaskOptions& options) {
    H1_RETURN_IF_ERROR(CheckAllowed("toy", options, {"limit", "max_new_tokens"}));
    H1_RETURN_IF_ERROR(CheckSampling("toy", options));
    H1_ASSIGN_OR_RETURN(max_new_tokens_,
                        Or("toy", "max_new_tokens", options.max_new_tokens, 4, 1, 100));
    H1_ASSIGN_OR_RETURN(const std::filesystem::path folder, DataFolder(options, "toy"));
    H1_ASSIGN_OR_RETURN(const std::vector<Json> rows,
                        ReadJsonLines(folder / "words.jsonl", {"word"}));
    for (std::size_t i = 0;
         i < rows.size() && (options.limit < 0 || static_cast<std::int64_t>(i) < options.limit);
         ++i) {
      Document document;
      document.index = static_cast<std::int64_t>(i);
      document.data.Set("word", *rows[i].Find("word"));
      document.gold = std::to_string(rows[i].Find("word")->as_string().size());
      documents_.push_back(std::move(document));
    }
    DataDigest digest;
    H1_RETURN_IF_ERROR(digest.Add(options.data, "toy/words.jsonl"));
    digest_ = digest.Finish();
    return Status::Ok();
  }

  const std::vector<Document>& documents() const override { return documents_; }
  std::string data_digest() const override { return digest_; }

  Request BuildRequest(const Document& document) const override {
    Request request;
    request.context = "Letters of " + document.data.Find("word")->as_string() + ":";
    request.stops = {"\n"};
    request.max_new_tokens = max_new_tokens_;
    return request;
  }

  Score ScoreResponse(const Document& document, const Response& response,
                      CodeJudge*) const override {
    Score score;
    score.extracted = Strip(response.text);
    score.scores = {{"exact_match", score.extracted == document.gold ? 1.0 : 0.0}};
    return score;
  }

  Json Describe() const override {
    Json json;
    json.Set("kind", "generate_until")
        .Set("shots", 0)
        .Set("primary", "exact_match")
        .Set("metrics", Strings({"exact_match"}))
        .Set("chance", 0.0)
        .Set("groups", Json(Json::Object{}))
        .Set("headline", "micro")
        .Set("version", 1)
        .Set("protocol", "toy: letters of a word");
    return json;
  }

 private:
  std::int64_t max_new_tokens_ = 4;
  std::vector<Document> documents_;
  std::string digest_;
};

}  // namespace

const Registration kToy("toy", "letters of a word", MakeTask<Toy>);

}  // namespace h1bench::tasks
