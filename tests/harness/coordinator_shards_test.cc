#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "harness/coordinator/deal.h"
#include "harness/coordinator/request.h"
#include "harness/coordinator/shards.h"

namespace h1bench {
namespace {

std::vector<SampleRow> Samples(const std::string& subset, int count, std::int64_t cost,
                               std::int64_t variant = 1) {
  static std::int64_t next_id = 1;
  std::vector<SampleRow> rows;
  for (int i = 0; i < count; ++i) {
    SampleRow row;
    row.id = next_id++;
    row.variant_id = variant;
    row.subset = subset;
    row.request_key = "key" + std::to_string(row.id);
    row.prompt = std::string(400, 'p') + subset + std::to_string(i);
    row.cost_tokens = cost;
    rows.push_back(row);
  }
  return rows;
}

std::vector<SampleRow> Join(std::vector<SampleRow> a, const std::vector<SampleRow>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST(ShardsTest, EverySampleIsInOneShardAndSubjectsStayApart) {
  const auto rows = Join(Samples("anatomy", 70, 120), Samples("virology", 30, 150));
  ShardLimits limits;
  limits.tokens = 1000;
  std::multiset<std::int64_t> seen;
  for (const Shard& shard : BuildShards(rows, limits)) {
    std::set<std::string> subsets;
    for (const std::int64_t id : shard.samples) {
      seen.insert(id);
      subsets.insert(std::find_if(rows.begin(), rows.end(), [&](const SampleRow& r) {
                       return r.id == id;
                     })->subset);
    }
    EXPECT_EQ(subsets.size(), 1U);
    EXPECT_LE(shard.cost, limits.tokens);
  }
  EXPECT_EQ(seen.size(), rows.size());
  EXPECT_EQ(std::set<std::int64_t>(seen.begin(), seen.end()).size(), rows.size());
}

TEST(ShardsTest, ASharedPrefixCountsOnceAndLongShardsComeFirst) {
  const auto rows = Join(Samples("short", 4, 120), Samples("long", 4, 900));
  const std::vector<Shard> shards = BuildShards(rows, ShardLimits());
  ASSERT_EQ(shards.size(), 2U);
  EXPECT_GT(shards[0].cost, shards[1].cost);
  EXPECT_LT(shards[1].cost, 4 * 120);  // 100 of the 120 tokens are the prefix
  EXPECT_GE(shards[1].cost, 120 + 3 * 19);
}

/// Generations of a lease are computed side by side: many of them, but every worker gets its part.
TEST(ShardsTest, GenerationsComeTogether) {
  auto rows = Samples("s", 150, 400);
  for (SampleRow& row : rows) row.request_json = R"({"continuations":[],"max_new_tokens":256})";
  ShardLimits limits;
  limits.tokens = 1000;  // two or so
  limits.workers = 1;
  const std::vector<Shard> one = BuildShards(rows, limits);
  ASSERT_EQ(one.size(), 3U);
  EXPECT_EQ(one[0].samples.size(), 64U);
  limits.workers = 5;
  for (const Shard& shard : BuildShards(rows, limits)) EXPECT_EQ(shard.samples.size(), 30U);
  // A document that killed a worker still comes with few others.
  for (SampleRow& row : rows) row.losses = 1;
  for (const Shard& shard : BuildShards(rows, limits)) EXPECT_LE(shard.samples.size(), 8U);
  // Long prompts with short answers are cut by their tokens, as scored ones are.
  for (SampleRow& row : rows) {
    row.losses = 0;
    row.request_json = R"({"continuations":[],"max_new_tokens":8})";
  }
  for (const Shard& shard : BuildShards(rows, limits)) EXPECT_LT(shard.samples.size(), 10U);
}

TEST(ShardsTest, MaxNewTokensIsReadFromTheRequest) {
  SampleRow row;
  EXPECT_EQ(MaxNewTokens(row), 0);
  row.request_json = RequestJson({"p", {}, {"\"max_new_tokens\":7"}, 96, 0, 1}, "");
  EXPECT_EQ(MaxNewTokens(row), 96);
  row.request_json = RequestJson({"p", {" A"}, {}, 0, 0, 1}, "");
  EXPECT_EQ(MaxNewTokens(row), 0);
}

TEST(ShardsTest, LossesCutShardsDown) {
  auto rows = Samples("s", 40, 10);
  for (SampleRow& row : rows) row.losses = 1;
  for (const Shard& shard : BuildShards(rows, ShardLimits())) EXPECT_LE(shard.samples.size(), 8U);
  for (SampleRow& row : rows) row.losses = 2;
  EXPECT_EQ(BuildShards(rows, ShardLimits()).size(), 40U);
}

TEST(ShardsTest, EqualRequestsAreAskedOnce) {
  auto rows = Samples("s", 2, 10);
  rows[1].request_key = rows[0].request_key;
  const std::vector<Shard> shards = BuildShards(rows, ShardLimits());
  ASSERT_EQ(shards.size(), 1U);
  EXPECT_EQ(shards[0].samples.size(), 1U);
}

// The same shards, whoever holds the prompts; each is read once.
TEST(ShardsTest, PromptsComeOneByOne) {
  const auto held = Join(Samples("short", 4, 120), Samples("long", 4, 900));
  auto rows = held;
  for (SampleRow& row : rows) row.prompt.clear();
  std::multiset<std::int64_t> read;
  const PromptOf prompt = [&](const SampleRow& row) -> Result<std::string> {
    read.insert(row.id);
    return std::find_if(held.begin(), held.end(), [&](const auto& one) { return one.id == row.id; })
        ->prompt;
  };
  const auto shards = BuildShards(rows, ShardLimits(), prompt);
  ASSERT_TRUE(shards.ok());
  const auto expected = BuildShards(held, ShardLimits());
  ASSERT_EQ(shards->size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ((*shards)[i].samples, expected[i].samples);
    EXPECT_EQ((*shards)[i].cost, expected[i].cost);
    EXPECT_EQ((*shards)[i].prompt_bytes, expected[i].prompt_bytes);
  }
  EXPECT_EQ(expected[0].prompt_bytes, 4 * held[4].prompt.size());
  EXPECT_EQ(read.size(), rows.size());
  EXPECT_EQ(std::set<std::int64_t>(read.begin(), read.end()).size(), rows.size());
  EXPECT_NE(BuildShards(rows, ShardLimits())[1].cost, expected[1].cost);  // without texts
  const auto failed = BuildShards(
      rows, ShardLimits(), [](const SampleRow&) { return Result<std::string>(NotFound("gone")); });
  EXPECT_EQ(failed.status().code(), StatusCode::kNotFound);
}

TEST(ShardsTest, PromptsOfALeaseFitAMessage) {
  auto rows = Samples("s", 20, 1);
  for (SampleRow& row : rows) row.prompt = std::string(1 << 20, 'x') + row.prompt;
  for (const Shard& shard : BuildShards(rows, ShardLimits())) EXPECT_LE(shard.samples.size(), 3U);
}

TEST(ShardQueueTest, AWorkerKeepsItsVariantWhileThereIsWorkForIt) {
  ShardQueue queue;
  queue.Add({{1, {1}, 10}, {2, {2}, 500}, {1, {3}, 20}});
  EXPECT_EQ(queue.Take(1)->samples[0], 3);
  EXPECT_EQ(queue.Take(1)->samples[0], 1);
  EXPECT_EQ(queue.Take(1)->samples[0], 2);
  EXPECT_FALSE(queue.Take(1).has_value());
  queue.Add({{1, {1}, 100}, {2, {2}, 90}, {1, {3}, 100}, {2, {4}, 90}});
  const auto first = queue.Take(0), second = queue.Take(0);
  EXPECT_NE(first->variant_id, second->variant_id)
      << "two new workers should load different variants";
}

TEST(RequestTest, EveryFieldChangesTheKey) {
  const RequestIdentity identity{"digest", "bf16", "engine", 2048, 0};
  const tasks::Request request{"context", {" A"}, {"\n"}, 16, 0.5, 0.9};
  std::set<std::string> keys = {RequestKey(identity, request, "k")};
  const auto expect_new = [&](const RequestIdentity& i, const tasks::Request& r,
                              const std::string& k) {
    EXPECT_TRUE(keys.insert(RequestKey(i, r, k)).second)
        << "the key does not cover a field (change " << keys.size() << ")";
  };
  for (int field = 0; field < 5; ++field) {
    RequestIdentity other = identity;
    if (field == 0) other.model_digest += "x";
    if (field == 1) other.precision = "fp32";
    if (field == 2) other.engine += "x";
    if (field == 3) ++other.max_length;
    if (field == 4) ++other.repeat;
    expect_new(other, request, "k");
  }
  for (int field = 0; field < 8; ++field) {
    tasks::Request other = request;
    if (field == 0) other.context += "x";
    if (field == 1) other.continuations.push_back(" B");
    if (field == 2) other.stops.clear();
    if (field == 3) ++other.max_new_tokens;
    if (field == 4) other.temperature = 0.6;
    if (field == 5) other.top_p = 1;
    if (field == 6) other.add_bos = true;
    if (field == 7) other.bf16_softmax = true;
    expect_new(identity, other, "k");
  }
  expect_new(identity, request, "l");
  EXPECT_EQ(RequestKey(identity, request, "k"), RequestKey(identity, request, "k"));
}

TEST(RequestTest, TheWireCarriesWhatTheStoreKeeps) {
  const tasks::Request request{"context", {" A", " B"}, {"\n\n", "Q:"}, 16, 0.5, 0.9};
  SampleRow sample;
  sample.id = 7;
  sample.prompt = request.context;
  sample.request_key = "key";
  sample.request_json = RequestJson(request, "seed|task");
  const auto wire = ToWire(sample);
  ASSERT_TRUE(wire.ok()) << wire.status().message();
  EXPECT_EQ(wire->context(), "context");
  EXPECT_EQ(wire->stops(1), "Q:");
  EXPECT_EQ(wire->max_new_tokens(), 16);
  EXPECT_EQ(wire->temperature(), 0.5);
  EXPECT_EQ(wire->sampling_key(), "seed|task");
  EXPECT_FALSE(wire->add_bos());
  EXPECT_EQ(sample.request_json.find("bos"), std::string::npos);  // keys of old databases hold
  tasks::Request switched = request;
  switched.add_bos = true;
  sample.request_json = RequestJson(switched, "");
  EXPECT_TRUE(ToWire(sample)->add_bos());
  EXPECT_FALSE(ToWire(sample)->bf16_softmax());
  switched.bf16_softmax = true;
  sample.request_json = RequestJson(switched, "");
  EXPECT_TRUE(ToWire(sample)->bf16_softmax());
  sample.request_json = "{\"continuations\":[]}";
  EXPECT_EQ(ToWire(sample).status().code(), StatusCode::kCorrupt);
}

/// Who is free first gets the next one, of the variant it has while there are some; the last ones
/// are for workers that have none.
TEST(DealOutTest, AsTheCoordinatorLeases) {
  std::vector<Shard> shards;
  for (std::int64_t i = 0; i < 7; ++i) shards.push_back({1 + i % 2, {i}, 10 - i, 0, false});
  const auto seconds = [](const Shard& shard) { return static_cast<double>(shard.cost); };
  const auto loading = [](std::int64_t variant) { return variant == 1 ? 5.0 : 2.0; };
  const std::vector<Turn> turns = DealOut(shards, 2, 100, seconds, loading);
  ASSERT_EQ(turns.size(), 7U);
  std::multiset<std::int64_t> given;
  std::vector<double> free = {100, 100};
  std::vector<std::int64_t> loaded = {0, 0};
  for (std::size_t i = 0; i < turns.size(); ++i) {
    const Turn& turn = turns[i];
    given.insert(turn.shard.samples[0]);
    EXPECT_EQ(free[turn.worker], std::min(free[0], free[1])) << i;
    EXPECT_EQ(turn.loads, loaded[turn.worker] != turn.shard.variant_id) << i;
    loaded[turn.worker] = turn.shard.variant_id;
    EXPECT_EQ(turn.begin, free[turn.worker] + (turn.loads ? loading(turn.shard.variant_id) : 0));
    EXPECT_EQ(turn.end, turn.begin + static_cast<double>(turn.shard.cost));
    free[turn.worker] = turn.end;
    EXPECT_EQ(turn.ahead, !turn.loads && i + 1 < turns.size()) << i;  // two must be left
  }
  EXPECT_EQ(given, (std::multiset<std::int64_t>{0, 1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(turns[0].shard.variant_id, 1);  // 28 of the 49
  EXPECT_EQ(turns[1].shard.variant_id, 2);
  // The worker of variant 2 is done with it after 2 + 21 and comes to the other's last one.
  EXPECT_EQ(turns.back().loads, true);
  EXPECT_TRUE(DealOut({}, 3, 0, seconds, loading).empty());
}

}  // namespace
}  // namespace h1bench
