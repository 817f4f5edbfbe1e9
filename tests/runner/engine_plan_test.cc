// The prefix trie and the junctions that are kept.
#include <gtest/gtest.h>

#include <set>

#include "runner/engine/plan.h"
#include "tests/runner/engine_fixture.h"

namespace h1bench::engine {
namespace {

Prepared Score(const Ids& context, const std::vector<Ids>& continuations) {
  Prepared prepared;
  for (const Ids& continuation : continuations) {
    Sequence sequence{context, continuation, 0};
    sequence.input.insert(sequence.input.end(), continuation.begin(), continuation.end() - 1);
    prepared.sequences.push_back(std::move(sequence));
  }
  prepared.prompt_tokens = static_cast<std::int64_t>(context.size());
  return prepared;
}

Prepared Generate(const Ids& prompt, std::int64_t new_tokens) {
  Prepared prepared;
  prepared.sequences.push_back({prompt, {}, new_tokens});
  prepared.prompt_tokens = static_cast<std::int64_t>(prompt.size());
  return prepared;
}

PlanOptions Options(std::int64_t min_saved = 1, std::int64_t limit = 1 << 30) {
  PlanOptions options;
  options.min_saved_tokens = min_saved;
  options.slot_bytes_limit = limit;
  options.slot_bytes = [](std::int64_t tokens) { return 100 + tokens; };
  return options;
}

/// "begin-end:children" of every node in the plan's order.
std::string Shape(const Plan& plan) {
  std::string text;
  for (const std::int32_t index : plan.order) {
    const Node& node = plan.nodes[static_cast<std::size_t>(index)];
    text += fmt::format("{}-{}:{}{} ", node.begin, node.end, node.children.size(),
                        node.generates >= 0 ? "g" : "");
  }
  return text;
}

TEST(EnginePlan, OneForwardForSingleTokenContinuations) {
  const std::vector<Prepared> requests = {Score({1, 2, 3}, {{4}, {5}, {6}, {7}})};
  const Plan plan = BuildPlan(requests, Options());
  EXPECT_EQ(Shape(plan), "0-3:0 ");
  ASSERT_EQ(plan.nodes[1].rows.size(), 1U);
  EXPECT_EQ(plan.nodes[1].rows[0].position, 2);
  EXPECT_EQ(plan.nodes[1].rows[0].targets, (Ids{4, 5, 6, 7}));
  EXPECT_EQ(plan.fed_tokens, 3);
  EXPECT_EQ(plan.sequence_tokens, 12);
}

TEST(EnginePlan, LongerContinuationsForkFromTheContext) {
  const std::vector<Prepared> requests = {Score({1, 2, 3}, {{4}, {5, 6}, {7, 8, 9}})};
  const Plan plan = BuildPlan(requests, Options());
  EXPECT_EQ(Shape(plan), "0-3:2 3-5:0 3-4:0 ");
  Ids targets = plan.nodes[static_cast<std::size_t>(plan.order[0])].rows[0].targets;
  std::ranges::sort(targets);
  EXPECT_EQ(targets, (Ids{4, 5, 7}));
}

TEST(EnginePlan, NestedPrefixesAndReuse) {
  const std::vector<Prepared> requests = {Score({1, 2, 3, 4, 5}, {{9}}),
                                          Score({1, 2, 3, 4, 6}, {{9}}),
                                          Score({1, 2, 7, 7, 7, 7}, {{9}})};
  const Plan plan = BuildPlan(requests, Options());
  EXPECT_EQ(Shape(plan), "0-2:2 2-4:2 4-5:0 4-5:0 2-6:0 ");
  EXPECT_EQ(plan.fed_tokens, 2 + 2 + 1 + 1 + 4);
  EXPECT_EQ(plan.reused, (std::vector<std::int64_t>{0, 4, 2}));
}

TEST(EnginePlan, JunctionsMustPay) {
  const std::vector<Prepared> requests = {Score({1, 2, 3, 4, 5}, {{9}}),
                                          Score({1, 2, 3, 4, 6}, {{9}}),
                                          Score({1, 2, 7, 7, 7, 7}, {{9}})};
  EXPECT_EQ(Shape(BuildPlan(requests, Options(3))), "0-2:3 2-6:0 2-5:0 2-5:0 ");  // saves 4 there
  EXPECT_EQ(Shape(BuildPlan(requests, Options(5))), "0-6:0 0-5:0 0-5:0 ");
}

TEST(EnginePlan, JunctionsMustFit) {
  const std::vector<Prepared> requests = {Score({1, 2, 3, 4, 5}, {{9}}),
                                          Score({1, 2, 3, 4, 6}, {{9}}),
                                          Score({1, 2, 7, 7, 7, 7}, {{9}})};
  EXPECT_EQ(Shape(BuildPlan(requests, Options(1, 400))), "0-2:2 2-4:2 4-5:0 4-5:0 2-6:0 ");
  EXPECT_EQ(Shape(BuildPlan(requests, Options(1, 300))), "0-2:3 2-6:0 2-5:0 2-5:0 ");
  EXPECT_EQ(Shape(BuildPlan(requests, Options(1, 110))), "0-6:0 0-5:0 0-5:0 ");
}

TEST(EnginePlan, EqualPromptsAreOneJunction) {
  const std::vector<Prepared> requests = {Generate({1, 2, 3}, 5), Generate({1, 2, 3}, 7),
                                          Score({1, 2, 3}, {{4}})};
  const Plan plan = BuildPlan(requests, Options());
  EXPECT_EQ(Shape(plan), "0-3:2 3-3:0g 3-3:0g ");
  EXPECT_EQ(plan.nodes[static_cast<std::size_t>(plan.order[1])].max_tokens, 10);  // costly first
  EXPECT_EQ(Shape(BuildPlan(requests, Options(100))), "0-3:0g 0-3:0g ");
  EXPECT_EQ(BuildPlan(requests, Options(100)).fed_tokens, 6);
}

TEST(EnginePlan, NothingIsSharedWhenToldSo) {
  PlanOptions options = Options();
  options.share = false;
  const std::vector<Prepared> requests = {Score({1, 2, 3}, {{4}, {5}, {6, 7}}),
                                          Score({1, 2, 3}, {{4}})};
  const Plan plan = BuildPlan(requests, options);
  EXPECT_EQ(Shape(plan), "0-4:0 0-3:0 0-3:0 ");
  EXPECT_EQ(plan.reused, (std::vector<std::int64_t>{0, 0}));
}

TEST(EnginePlan, RefusedRequestsAreLeftOut) {
  std::vector<Prepared> requests = {Score({1, 2, 3}, {{4}}), Score({1, 2, 3}, {{4}})};
  requests[0].status = InvalidArgument("no");
  EXPECT_EQ(BuildPlan(requests, Options()).sequence_tokens, 3);
  requests[1].status = requests[0].status;
  EXPECT_TRUE(BuildPlan(requests, Options()).order.empty());
}

/// The ids on the path from the root to the end of `node`.
Ids Path(const Plan& plan, std::int32_t node) {
  Ids ids;
  for (; node > 0; node = plan.nodes[static_cast<std::size_t>(node)].parent) {
    const Node& at = plan.nodes[static_cast<std::size_t>(node)];
    ids.insert(ids.begin(), at.ids->begin() + at.begin, at.ids->begin() + at.end);
  }
  return ids;
}

/// Whatever the requests and limits: every row is read once, after the right ids; parents come
/// first; no chain of junctions and its leaf exceeds the memory.
TEST(EnginePlan, InvariantsOfRandomPlans) {
  std::mt19937 random(21);
  for (int round = 0; round < 300; ++round) {
    std::vector<Prepared> requests;
    for (std::uint32_t i = 0; i < 1 + random() % 40; ++i) {
      Ids context(1 + random() % 12);
      for (auto& id : context)
        id = static_cast<std::int32_t>(random() % 2);  // many shared prefixes
      if (random() % 3 == 0) {
        requests.push_back(Generate(context, 1 + static_cast<std::int64_t>(random() % 9)));
        continue;
      }
      std::vector<Ids> continuations(1 + random() % 3);
      for (Ids& ids : continuations) ids = testing::RandomIds(random, 1 + random() % 3, 2);
      requests.push_back(Score(context, continuations));
    }
    const std::int64_t limit = 130 + static_cast<std::int64_t>(random() % 600);
    PlanOptions options = Options(1 + static_cast<std::int64_t>(random() % 20), limit);
    options.share = random() % 4 != 0;
    const Plan plan = BuildPlan(requests, options);
    std::set<std::tuple<int, int, int>> read;
    std::set<std::int32_t> generated, placed = {0};
    std::int64_t fed = 0, computed = 0;
    for (const std::int32_t index : plan.order) {
      const Node& node = plan.nodes[static_cast<std::size_t>(index)];
      ASSERT_TRUE(placed.insert(index).second && placed.contains(node.parent));
      fed += node.tokens();
      const Ids path = Path(plan, index);
      ASSERT_EQ(static_cast<std::int64_t>(path.size()), node.end);
      for (const Row& row : node.rows)
        for (std::size_t k = 0; k < row.wanted.size(); ++k) {
          const Wanted& w = row.wanted[k];
          const Sequence& sequence = requests[static_cast<std::size_t>(w.request)]
                                         .sequences[static_cast<std::size_t>(w.sequence)];
          ASSERT_TRUE(read.insert({w.request, w.sequence, w.index}).second);
          ASSERT_EQ(row.targets[k], sequence.targets[static_cast<std::size_t>(w.index)]);
          const auto length = static_cast<std::size_t>(row.position + 1);
          ASSERT_EQ(length, sequence.input.size() - sequence.targets.size() + 1 +
                                static_cast<std::size_t>(w.index));
          ASSERT_TRUE(
              std::equal(path.begin(), path.begin() + row.position + 1, sequence.input.begin()));
        }
      if (node.generates >= 0) {
        ASSERT_TRUE(generated.insert(node.generates).second);
        ASSERT_EQ(path, requests[static_cast<std::size_t>(node.generates)].sequences[0].input);
        ASSERT_FALSE(node.junction());
      }
      std::int64_t bytes = 0;
      for (std::int32_t at = index; at > 0; at = plan.nodes[static_cast<std::size_t>(at)].parent)
        bytes += 100 + plan.nodes[static_cast<std::size_t>(at)].max_tokens;
      ASSERT_LE(bytes, limit);
    }
    std::size_t rows = 0, generations = 0;
    for (const Prepared& request : requests)
      for (const Sequence& sequence : request.sequences) {
        rows += sequence.targets.size();
        generations += sequence.new_tokens > 0;
      }
    ASSERT_EQ(read.size(), rows);
    ASSERT_EQ(generated.size(), generations);
    ASSERT_EQ(fed, plan.fed_tokens);
    for (std::size_t r = 0; r < requests.size(); ++r) {
      ASSERT_GE(plan.reused[r], 0);
      ASSERT_LE(plan.reused[r], requests[r].prompt_tokens);
      computed += requests[r].prompt_tokens - plan.reused[r];
    }
    ASSERT_LE(computed, fed);  // the rest are continuations' tokens
  }
}

}  // namespace
}  // namespace h1bench::engine
