#include "harness/store/store.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "base/sha256.h"
#include "harness/store/lock.h"
#include "harness/store/network_file_system.h"
#include "harness/store/vfs.h"

namespace h1bench {
namespace {

class StoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              ("h1bench-store-" +
               std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    file_ = folder_ / "run.db";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<Store> Open(Store::Mode mode = Store::Mode::kReadWrite) {
    auto store = Store::Open(file_, mode);
    EXPECT_TRUE(store.ok()) << store.status().message();
    return std::move(store).value();
  }

  /// A run of one variant and one task with `count` samples.
  std::int64_t MakeRun(Store& store, int count) {
    std::vector<VariantRow> variants(1);
    variants[0].model_name = "m";
    variants[0].model_digest = "d";
    variants[0].precision = "fp32";
    std::vector<RunTaskRow> tasks(1);
    tasks[0].name = tasks[0].task = "mmlu";
    tasks[0].describe_json = "{}";
    RunRow run;
    run.name = "suite";
    const auto id = store.CreateRun(run, variants, tasks, [&](const auto& add) -> Status {
      for (int i = 0; i < count; ++i) {
        SampleRow row;
        row.variant_id = variants[0].id;
        row.run_task_id = tasks[0].id;
        row.index = i;
        row.prompt = "prompt " + std::to_string(i);
        row.prompt_sha256 = Sha256Hex(row.prompt);
        row.request_key = "key" + std::to_string(i);
        H1_RETURN_IF_ERROR(add(row));
      }
      return Status::Ok();
    });
    EXPECT_TRUE(id.ok()) << id.status().message();
    EXPECT_TRUE(store.RecordWorker(*id, "w", "one", "{}").ok());
    return *id;
  }

  LeaseGrant Grant(Store& store, std::int64_t run, const std::string& incarnation = "one") {
    std::vector<std::int64_t> ids;
    for (const SampleRow& row : *store.PendingSamples(run)) ids.push_back(row.id);
    auto grant = store.GrantLease(run, "w", incarnation, ids);
    EXPECT_TRUE(grant.ok()) << grant.status().message();
    return *grant;
  }

  static ResponseRow Answer(const std::string& key, double value) {
    ResponseRow row;
    row.key = key;
    row.loglikelihoods = {value, -0.1};
    row.is_greedy = {true, false};
    row.first_ids = {1, 2};
    return row;
  }

  std::filesystem::path folder_, file_;
};

TEST_F(StoreTest, ResponsesReadBackBitEqualAfterReopening) {
  std::int64_t run = 0;
  {
    auto store = Open();
    run = MakeRun(*store, 2);
    const LeaseGrant grant = Grant(*store, run);
    ASSERT_TRUE(store
                    ->SubmitResponses(grant.lease_id, grant.attempt, "one",
                                      {{grant.sample_ids[0], Answer("key0", -1.0 / 3)}}, false)
                    .ok());
  }
  auto store = Open(Store::Mode::kReadOnly);
  int seen = 0, answered = 0;
  ASSERT_TRUE(
      store
          ->ForEachSample(
              run,
              [&](const VariantRow&, const RunTaskRow&, const SampleRow& sample,
                  const ResponseRow* response, const ScoreRow*) {
                EXPECT_EQ(sample.index, seen++);
                if (response != nullptr) {
                  ++answered;
                  EXPECT_EQ(response->loglikelihoods, (std::vector<double>{-1.0 / 3, -0.1}));
                  EXPECT_EQ(response->is_greedy, (std::vector<bool>{true, false}));
                  EXPECT_EQ(response->first_ids, (std::vector<std::int32_t>{1, 2}));
                }
                return Status::Ok();
              })
          .ok());
  EXPECT_EQ(seen, 2);
  EXPECT_EQ(answered, 1);
  EXPECT_EQ(store->PendingSamples(run)->size(), 1U);
}

TEST_F(StoreTest, AListOfSamplesLeavesThePromptsOut) {
  auto store = Open();
  const auto pending = store->PendingSamples(MakeRun(*store, 2));
  ASSERT_EQ(pending->size(), 2U);
  for (const SampleRow& sample : *pending) {
    EXPECT_TRUE(sample.prompt.empty());
    const auto prompt = store->Prompt(sample.prompt_sha256);
    ASSERT_TRUE(prompt.ok()) << prompt.status().message();
    EXPECT_EQ(*prompt, "prompt " + std::to_string(sample.index));
    EXPECT_EQ(store->GetSample(sample.id)->prompt, *prompt);
  }
  EXPECT_EQ(store->Prompt("none").status().code(), StatusCode::kNotFound);
}

TEST_F(StoreTest, AnAcknowledgedAnswerIsSeenByOthers) {
  auto store = Open();
  const std::int64_t run = MakeRun(*store, 1);
  const LeaseGrant grant = Grant(*store, run);
  ASSERT_TRUE(store
                  ->SubmitResponses(grant.lease_id, grant.attempt, "one",
                                    {{grant.sample_ids[0], Answer("key0", -1)}}, true)
                  .ok());
  auto other = Open(Store::Mode::kReadOnly);
  EXPECT_EQ(other->PendingSamples(run)->size(), 0U);
}

TEST_F(StoreTest, StaleAttemptsAndIncarnationsStoreNothing) {
  auto store = Open();
  const std::int64_t run = MakeRun(*store, 1);
  const LeaseGrant grant = Grant(*store, run);
  const std::vector<std::pair<std::int64_t, ResponseRow>> answer = {
      {grant.sample_ids[0], Answer("key0", -1)}};
  EXPECT_EQ(store->SubmitResponses(grant.lease_id, grant.attempt + 1, "one", answer, true).code(),
            StatusCode::kFailedPrecondition);
  EXPECT_EQ(store->SubmitResponses(grant.lease_id, grant.attempt, "two", answer, true).code(),
            StatusCode::kFailedPrecondition);
  // The same worker id came back as another incarnation: the old one is fenced off.
  ASSERT_TRUE(store->RecordWorker(run, "w", "two", "{}").ok());
  EXPECT_EQ(store->SubmitResponses(grant.lease_id, grant.attempt, "one", answer, true).code(),
            StatusCode::kFailedPrecondition);
  EXPECT_EQ(store->PendingSamples(run)->size(), 1U);
  // A revoked lease is closed for good.
  ASSERT_TRUE(store->RecordWorker(run, "w", "one", "{}").ok());
  ASSERT_TRUE(store->RevokeLease(grant.lease_id, false).ok());
  EXPECT_FALSE(store->SubmitResponses(grant.lease_id, grant.attempt, "one", answer, true).ok());
  EXPECT_EQ(store->PendingSamples(run)->size(), 1U);
}

TEST_F(StoreTest, EqualDuplicatesAreIgnoredDifferentOnesRecorded) {
  auto store = Open();
  const std::int64_t run = MakeRun(*store, 1);
  const LeaseGrant grant = Grant(*store, run);
  const auto submit = [&](double value) {
    return store
        ->SubmitResponses(grant.lease_id, grant.attempt, "one",
                          {{grant.sample_ids[0], Answer("key0", value)}}, false)
        .ok();
  };
  EXPECT_TRUE(submit(-1));
  EXPECT_TRUE(submit(-1));
  EXPECT_EQ(*store->Divergences(), 0);
  EXPECT_TRUE(submit(-2));
  EXPECT_EQ(*store->Divergences(), 1);
}

TEST_F(StoreTest, ThreeLostWorkersPoisonASample) {
  auto store = Open();
  const std::int64_t run = MakeRun(*store, 1);
  for (int loss = 1; loss <= 3; ++loss) {
    ASSERT_EQ(store->PendingSamples(run)->size(), 1U);
    const auto poisoned = store->RevokeLease(Grant(*store, run).lease_id, true);
    ASSERT_TRUE(poisoned.ok());
    EXPECT_EQ(poisoned->size(), loss == 3 ? 1U : 0U);
  }
  EXPECT_TRUE(store->PendingSamples(run)->empty());
  EXPECT_EQ(store->PoisonedSamples(run)->size(), 1U);
}

TEST_F(StoreTest, ResultsDigestIgnoresTimesAndSeesEveryBit) {
  auto store = Open();
  const std::int64_t run = MakeRun(*store, 2);
  const std::string empty = *store->ResultsDigest(run);
  const LeaseGrant grant = Grant(*store, run);
  ResponseRow slow = Answer("key0", -1);
  slow.prefill_seconds = 99;
  slow.inter_token_us = {5, 6};
  slow.worker = "other";
  ASSERT_TRUE(store
                  ->SubmitResponses(grant.lease_id, grant.attempt, "one",
                                    {{grant.sample_ids[0], slow}}, true)
                  .ok());
  const std::string answered = *store->ResultsDigest(run);
  EXPECT_NE(answered, empty);
  // A second run of the same suite finds the answer by its key and has the same digest, whatever
  // came before it.
  const std::int64_t again = MakeRun(*store, 2);
  EXPECT_EQ(*store->ResultsDigest(again), answered);
  EXPECT_EQ(store->PendingSamples(again)->size(), 1U);
  sqlite3* raw = nullptr;
  ASSERT_EQ(sqlite3_open(file_.c_str(), &raw), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(raw, "UPDATE responses SET loglikelihoods = '[-1.0000000000000002,-0.1]'",
                         nullptr, nullptr, nullptr),
            SQLITE_OK);
  sqlite3_close(raw);
  EXPECT_NE(*store->ResultsDigest(run), answered);
}

/// A database of before version 3 is refused where it may not be changed, and brought up to date
/// where it may: answers stay, the times that nobody measured are none.
TEST_F(StoreTest, OlderDatabasesAreBroughtUpToDate) {
  std::int64_t run = 0;
  {
    auto store = Open();
    run = MakeRun(*store, 1);
    const LeaseGrant grant = Grant(*store, run);
    ResponseRow answer = Answer("key0", -1);
    answer.inter_token_us = {2147483647, 0};
    ASSERT_TRUE(store
                    ->SubmitResponses(grant.lease_id, grant.attempt, "one",
                                      {{grant.sample_ids[0], answer}}, true)
                    .ok());
  }
  const auto times = [&](Store& store) {
    std::optional<std::vector<std::int32_t>> out;
    EXPECT_TRUE(store
                    .ForEachSample(run,
                                   [&](const auto&, const auto&, const auto&,
                                       const ResponseRow* response, const auto*) {
                                     if (response != nullptr) out = response->inter_token_us;
                                     return Status::Ok();
                                   })
                    .ok());
    return out;
  };
  EXPECT_EQ(times(*Open()), (std::vector<std::int32_t>{2147483647, 0}));
  sqlite3* raw = nullptr;
  ASSERT_EQ(sqlite3_open_v2(file_.c_str(), &raw, SQLITE_OPEN_READWRITE, kVfsName), SQLITE_OK);
  ASSERT_EQ(
      sqlite3_exec(raw, "ALTER TABLE responses DROP COLUMN inter_token_us; PRAGMA user_version=2",
                   nullptr, nullptr, nullptr),
      SQLITE_OK);
  sqlite3_close(raw);
  const auto refused = Store::Open(file_, Store::Mode::kReadOnly);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.status().message().find("written by an older h1bench (schema 2 of 3)"),
            std::string::npos)
      << refused.status().message();
  EXPECT_EQ(times(*Open()), std::vector<std::int32_t>());
  EXPECT_TRUE(Store::Open(file_, Store::Mode::kReadOnly).ok());
}

TEST_F(StoreTest, ForeignNewerAndDamagedFilesAreRefused) {
  std::ofstream(file_) << std::string(4096, 'x');
  auto garbage = Store::Open(file_, Store::Mode::kReadWrite);
  ASSERT_FALSE(garbage.ok());
  EXPECT_EQ(garbage.status().code(), StatusCode::kCorrupt) << garbage.status().message();
  std::filesystem::remove(file_);

  sqlite3* raw = nullptr;
  ASSERT_EQ(sqlite3_open(file_.c_str(), &raw), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(raw, "CREATE TABLE t (x)", nullptr, nullptr, nullptr), SQLITE_OK);
  auto foreign = Store::Open(file_, Store::Mode::kReadWrite);
  ASSERT_FALSE(foreign.ok());
  EXPECT_NE(foreign.status().message().find("not a h1bench database"), std::string::npos);
  sqlite3_close(raw);
  std::filesystem::remove(file_);

  { auto store = Open(); }
  ASSERT_EQ(sqlite3_open_v2(file_.c_str(), &raw, SQLITE_OPEN_READWRITE, kVfsName), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(raw, "PRAGMA user_version=99", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(raw);
  auto newer = Store::Open(file_, Store::Mode::kReadOnly);
  ASSERT_FALSE(newer.ok());
  EXPECT_NE(newer.status().message().find("newer h1bench"), std::string::npos);

  EXPECT_EQ(Store::Open(folder_, Store::Mode::kReadWrite).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(Store::Open(folder_ / "none.db", Store::Mode::kReadOnly).status().code(),
            StatusCode::kNotFound);
}

// Acknowledged answers are lost where SQLite's log is shared over a network.
TEST_F(StoreTest, NetworkFileSystemsAreRefused) {
  const auto refused = [&](std::uint64_t type, const std::filesystem::path& file) {
    return RefuseNetworkFileSystem(file, [&](const std::filesystem::path& place) {
      EXPECT_EQ(place, folder_);  // the nearest folder that is there
      return Result<std::uint64_t>(type);
    });
  };
  const Status nfs = refused(0x6969, folder_ / "not" / "there" / "run.db");
  EXPECT_EQ(nfs.code(), StatusCode::kUnsupported);
  EXPECT_NE(nfs.message().find("run.db: " + folder_.string() + " is on NFS, a network"),
            std::string::npos)
      << nfs.message();
  // Sign-extended, as statfs has it where f_type is 32 bits.
  EXPECT_FALSE(refused(0xffffffffff534d42, folder_ / "run.db").ok());
  EXPECT_FALSE(refused(0x0bd00bd0, folder_ / "run.db").ok());
  EXPECT_TRUE(refused(0xef53, folder_ / "run.db").ok());          // ext4
  EXPECT_TRUE(refused(0x01021994, folder_ / "run.db").ok());      // tmpfs
  EXPECT_TRUE(RefuseNetworkFileSystem(folder_ / "run.db").ok());  // this one, really
}

TEST_F(StoreTest, LockIsHeldByOneProcessAndFreedByDeath) {
  const pid_t child = fork();
  if (child == 0) {
    auto lock = RunLock::Acquire(file_);
    std::ofstream(folder_ / "held") << lock.ok();
    pause();
    _exit(0);
  }
  while (!std::filesystem::exists(folder_ / "held")) usleep(1000);
  EXPECT_EQ(RunLock::Acquire(file_).status().code(), StatusCode::kFailedPrecondition);
  kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(RunLock::Acquire(file_).ok());
}

}  // namespace
}  // namespace h1bench
