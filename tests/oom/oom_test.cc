// JSON, checkpoints, tokenizers and the store without memory (oom_fixture.h).
#include <cstdlib>
#include <vector>

#include "base/json.h"
#include "runner/checkpoint/checkpoint.h"
#include "runner/tokenizer/tokenizer.h"
#include "tests/oom/oom_fixture.h"

namespace h1bench {
namespace {

class Parsers : public Oom {
 protected:
  static Result<std::string> ParseSomeJson() {
    std::string text = "[";
    for (int i = 0; i < 40; ++i)
      text += R"({"name": "a string that is not short at all )" + std::to_string(i) +
              R"(", "numbers": [1, 2.5e3, null, true, {"deep": [[[[1]]]]}]},)";
    text += "0]";
    H1_ASSIGN_OR_RETURN(const Json json, ParseJson(text));
    return WriteJson(json);
  }
  /// libstdc++ 12 destroys a variant of strings and vectors through a wild index when a copy
  /// throws.
  static Result<std::string> CopySomeJson() {
    Json json;
    json.Set("a key that is not short at all", "a text that is not short at all, either");
    json.Set("list", Json(Json::Array{"another text that is not short at all", 1, 2.5}));
    Json copy = json;
    Json assigned;
    assigned = copy;
    return WriteJson(assigned);
  }
  static Result<std::string> OpenModel() {
    H1_ASSIGN_OR_RETURN(const Checkpoint model, Checkpoint::Open(Demo() / "models/toy"));
    return std::to_string(model.parameters()) + " " + std::to_string(model.tensors().size());
  }
  /// Without a pattern: Oniguruma 6.9.8 itself frees twice in onig_compile for want of memory, and
  /// the process then ends by abort().
  static Result<std::string> Tokenize() {
    H1_ASSIGN_OR_RETURN(
        const Tokenizer tokenizer,
        Tokenizer::Parse(R"({"version":"1.0","added_tokens":[{"id":3,"content":"<one>"}],)"
                         R"("normalizer":null,"pre_tokenizer":null,"post_processor":null,)"
                         R"("decoder":null,"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},)"
                         R"("merges":["a b"]}})",
                         "t.json"));
    return Ids(tokenizer, "abba<one>a");
  }
  static std::string Ids(const Tokenizer& tokenizer, const std::string& text) {
    std::string out;
    for (const std::int32_t id : tokenizer.Encode(text)) out += std::to_string(id) + " ";
    return out;
  }
  /// Patterns at work: want of memory is no pattern that works too long, whose text stays whole.
  void FailSplitting(std::int64_t dense, std::int64_t points) {
    const auto tokenizer = Tokenizer::Open(Demo() / "models/toy/tokenizer.json");
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
    FailEach(
        "patterns",
        [&]() -> Result<std::string> {
          return Ids(*tokenizer, "The 12 quick foxes' tails, 3.5 of them\n\n  END");
        },
        dense, points, [] {}, 1);  // Oniguruma keeps one, where a region's second half fails
    EXPECT_EQ(tokenizer->limit_hits(), 0U);
  }
  /// The store's whole life; afterwards the file is sound and holds what was acknowledged.
  void FailStore(std::int64_t dense, std::int64_t points) {
    std::map<std::string, std::string> acked;
    const std::filesystem::path file = folder_ / "run.db";
    const Job job = [&]() -> Result<std::string> {
      for (const char* end : {"", "-wal", "-shm"})
        std::filesystem::remove(folder_ / (std::string("run.db") + end));
      acked.clear();
      H1_ASSIGN_OR_RETURN(const std::unique_ptr<Store> store,
                          Store::Open(file, Store::Mode::kReadWrite));
      H1_RETURN_IF_ERROR(Work(*store, acked));
      return store->ResultsDigest(1);
    };
    FailEach(
        "store", job, dense, points,
        [&] {
          if (acked.empty()) return;
          const auto store = Store::Open(file, Store::Mode::kReadWrite);
          ASSERT_TRUE(store.ok()) << store.status().message();
          std::map<std::string, std::string> found;
          ASSERT_TRUE((*store)
                          ->ForEachSample(1,
                                          [&](const auto&, const auto&, const SampleRow&,
                                              const ResponseRow* response, const ScoreRow*) {
                                            if (response != nullptr)
                                              found[response->key] = response->text;
                                            return Status::Ok();
                                          })
                          .ok());
          for (const auto& [key, text] : acked)
            EXPECT_EQ(found[key], text) << "acknowledged and lost";
          acked.clear();
        },
        1);  // SQLite keeps one, where opening fails
  }
  void FailParsers(std::int64_t dense, std::int64_t points) {
    FailEach("JSON", ParseSomeJson, dense, points);
    FailEach("copies of JSON", CopySomeJson, dense, points);
    FailEach("checkpoint", OpenModel, dense, points);
    FailEach(
        "tokenizer", Tokenize, dense / 4, points / 4, [] {}, 1);
    FailSplitting(dense, points);
  }
};
class SlowOom : public Parsers {};
class FullOom : public Parsers {};

TEST_F(SlowOom, ParsersFail) { FailParsers(100, 60); }
TEST_F(SlowOom, StoreFails) { FailStore(60, 60); }
TEST_F(FullOom, ParsersFail) { FailParsers(4000, 4000); }
TEST_F(FullOom, StoreFails) { FailStore(300, 300); }

/// The tests' own memory is what it was.
TEST(OomTest, TheShimFailsWhereItIsTold) {
  oom::Arm(2, false);
  void* first = std::malloc(10);
  void* second = std::malloc(10);
  void* third = std::malloc(10);
  EXPECT_TRUE(oom::Disarm());
  EXPECT_TRUE(first != nullptr && second == nullptr && third != nullptr);
  std::free(first);
  std::free(third);
  oom::Arm(1, true);
  bool thrown = false;
  try {
    std::vector<char>* volatile block = new std::vector<char>(100);
    delete block;
  } catch (const std::bad_alloc&) {
    thrown = true;
  }
  EXPECT_EQ(std::malloc(1), nullptr);
  oom::Disarm();
  EXPECT_TRUE(thrown);
}

}  // namespace
}  // namespace h1bench
