#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <functional>
#include <map>
#include <new>
#include <string>

#include "base/status.h"
#include "harness/store/store.h"
#include "tests/oom/failing_malloc.h"
#include "tests/paths.h"

/// Memory runs out at the N-th allocation, once or for good, for N = 1, 2, 3, ... until a job comes
/// through untouched: it must fail as a Status or std::bad_alloc, leave nothing behind, and give
/// the right result when it is asked again. Never a crash, never another result.
namespace h1bench {
using Job = std::function<Result<std::string>()>;

inline std::filesystem::path Demo() { return testing::SourceDir() / "demo"; }

class Oom : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "h1bench-oom-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  struct Outcome {
    bool failed = false;  // an allocation did
    bool ok = false;
    std::string result, error;
  };
  static Outcome Try(const Job& job, std::int64_t allocation, bool sticky) {
    Outcome outcome;
    oom::Arm(allocation, sticky);
    try {
      const Result<std::string> result = job();
      outcome.failed = oom::Disarm();
      outcome.ok = result.ok();
      if (result.ok())
        outcome.result = *result;
      else
        outcome.error = result.status().message();
    } catch (const std::bad_alloc&) {
      outcome.failed = oom::Disarm();
    }
    return outcome;
  }

  /// `kept`: blocks that a library may keep for good after each failure.
  /// Every allocation, or, for jobs of thousands, the first `dense` and then about `points` more.
  void FailEach(
      const char* name, const Job& job, std::int64_t dense, std::int64_t points,
      const std::function<void()>& check = [] {}, std::int64_t kept = 0) {
    SCOPED_TRACE(name);
    const Result<std::string> right = job();
    ASSERT_TRUE(right.ok()) << right.status().message();
    ASSERT_EQ(*job(), *right);
    constexpr std::int64_t kMany = std::int64_t{1} << 40;
    std::int64_t total = 0;  // allocations of an undisturbed pass, to within a factor of two
    for (total = 1; total < kMany && Try(job, total, false).failed; total *= 2) {
    }
    int failures = 0;
    std::int64_t left = 0;  // blocks that nobody freed
    for (const bool sticky : {false, true}) {
      for (std::int64_t n = 1; n < total;
           n += n < dense ? 1 : std::max<std::int64_t>(1, total / points)) {
        SCOPED_TRACE("allocation " + std::to_string(n) + (sticky ? " and all after it" : ""));
        const std::int64_t before = oom::LiveBlocks();
        Outcome outcome = Try(job, n, sticky);
        if (!outcome.failed) break;
        if (outcome.ok) {
          EXPECT_EQ(outcome.result, *right) << "another result for want of memory";
        }
        ++failures;
        outcome = {};
        check();
        left += oom::LiveBlocks() - before;
        EXPECT_LE(left, kept * failures) << "memory was left behind";
        if (HasFailure()) return;
      }
    }
    EXPECT_GT(failures, 20);
    const Result<std::string> again = job();
    ASSERT_TRUE(again.ok()) << again.status().message();
    EXPECT_EQ(*again, *right);
    std::printf("%s: %d failures\n", name, failures);
  }

  /// A run with two answers, of which one is scored. What is acknowledged goes to `acked`.
  static Status Work(Store& store, std::map<std::string, std::string>& acked) {
    std::vector<VariantRow> variants(1);
    variants[0].model_name = "m";
    variants[0].precision = "bf16";
    variants[0].config_json = "{}";
    std::vector<RunTaskRow> tasks(1);
    tasks[0].name = tasks[0].task = "gsm8k";
    tasks[0].options_json = "{}";
    tasks[0].describe_json =
        R"({"kind":"generate_until","primary":"match","metrics":["match"],"headline":"micro","protocol":"p"})";
    RunRow run;
    run.name = "r";
    run.options_json = run.version_json = run.environment_json = "{}";
    H1_ASSIGN_OR_RETURN(const std::int64_t id,
                        store.CreateRun(run, variants, tasks, [&](const auto& add) -> Status {
                          for (int i = 0; i < 3; ++i) {
                            SampleRow row;
                            row.variant_id = variants[0].id;
                            row.run_task_id = tasks[0].id;
                            row.index = i;
                            row.request_json = "{}";
                            row.request_key = "key " + std::to_string(i);
                            row.prompt = row.prompt_sha256 = "prompt " + std::to_string(i);
                            H1_RETURN_IF_ERROR(add(row));
                          }
                          return Status::Ok();
                        }));
    H1_RETURN_IF_ERROR(store.RecordWorker(id, "w", "1", "{}"));
    H1_ASSIGN_OR_RETURN(const auto pending, store.PendingSamples(id));
    for (const SampleRow& sample : pending) {
      H1_ASSIGN_OR_RETURN(const LeaseGrant lease, store.GrantLease(id, "w", "1", {sample.id}));
      ResponseRow answer;
      answer.key = sample.request_key;
      answer.text = "text of " + sample.request_key;
      answer.finish = "stop";
      H1_RETURN_IF_ERROR(
          store.SubmitResponses(lease.lease_id, lease.attempt, "1", {{sample.id, answer}}, true));
      acked[answer.key] = answer.text;
      ScoreRow score;
      score.sample_id = sample.id;
      score.extracted = score.verdict = "x";
      score.scores = {{"match", 1}};
      H1_RETURN_IF_ERROR(store.InsertScores({score}));
    }
    return store.FinishRun(id, "finished", 1, 1);
  }

  std::filesystem::path folder_;
};

}  // namespace h1bench
