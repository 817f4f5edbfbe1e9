// The power fails at every write and every sync of a run's life (crash_disk.h), and what the disk
// then holds must be a database in which nothing that was acknowledged is missing.
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "harness/store/store.h"
#include "tests/fault/crash_disk.h"

namespace h1bench::fault {
namespace {

constexpr int kSamples = 24, kShard = 6;

/// SQLite moves its log into the database after so many pages; the store's own 1 000 would need
/// megabytes of answers.
int CheckpointOften(sqlite3* database, const char**, const sqlite3_api_routines*) {
  return sqlite3_wal_autocheckpoint(database, 12);
}

/// What the store said OK to.
struct Acknowledged {
  std::int64_t run = 0;
  std::map<std::string, std::string> answers;  // request key: text
  std::map<std::int64_t, std::string> scores;  // sample: verdict
  std::string state;                           // of the run
};

class Power : public ::testing::Test {
 protected:
  void SetUp() override {
    disk_.Clear();
    CrashDisk::Plug(true);
    sqlite3_auto_extension(reinterpret_cast<void (*)()>(CheckpointOften));
  }
  void TearDown() override {
    sqlite3_cancel_auto_extension(reinterpret_cast<void (*)()>(CheckpointOften));
    disk_.Clear();
    CrashDisk::Plug(false);
  }

  static std::string Key(int index) { return "key " + std::to_string(index); }
  static std::string Text(int index) {
    return std::string(static_cast<std::size_t>(200 + index * 97), static_cast<char>('a' + index));
  }

  static Status Plan(Store& store, Acknowledged& acked) {
    std::vector<VariantRow> variants(1);
    variants[0].model_name = "m";
    variants[0].precision = "bf16";
    std::vector<RunTaskRow> tasks(1);
    tasks[0].name = tasks[0].task = "gsm8k";
    const Result<std::int64_t> run =
        store.CreateRun({}, variants, tasks, [&](const auto& add) -> Status {
          for (int i = 0; i < kSamples; ++i) {
            SampleRow row;
            row.variant_id = variants[0].id;
            row.run_task_id = tasks[0].id;
            row.index = i;
            row.request_key = Key(i);
            row.prompt = row.prompt_sha256 = std::to_string(i);
            H1_RETURN_IF_ERROR(add(row));
          }
          return Status::Ok();
        });
    H1_RETURN_IF_ERROR(run.status());
    acked.run = *run;
    acked.state = "running";
    return Status::Ok();
  }

  /// Leases, loses one lease, answers, scores and finishes, as far as the power lasts.
  static Status Work(Store& store, Acknowledged& acked) {
    if (acked.run == 0) H1_RETURN_IF_ERROR(Plan(store, acked));
    H1_RETURN_IF_ERROR(store.RevokeAllLeases(acked.run));
    H1_RETURN_IF_ERROR(store.RecordWorker(acked.run, "w", "1", "{}"));
    bool lose = true;
    while (true) {
      H1_ASSIGN_OR_RETURN(const std::vector<SampleRow> pending, store.PendingSamples(acked.run));
      if (pending.empty()) break;
      std::vector<std::int64_t> ids;
      std::vector<std::pair<std::int64_t, ResponseRow>> answers;
      std::vector<ScoreRow> scores;
      for (const SampleRow& sample : pending) {
        if (ids.size() == kShard) break;
        ids.push_back(sample.id);
        ResponseRow answer;
        answer.key = sample.request_key;
        answer.text = Text(static_cast<int>(sample.index));
        answers.emplace_back(sample.id, answer);
        scores.push_back({sample.id, "x", "verdict " + std::to_string(sample.id), "", {}, 1});
      }
      H1_ASSIGN_OR_RETURN(const LeaseGrant lease, store.GrantLease(acked.run, "w", "1", ids));
      if (std::exchange(lose, false)) {
        H1_RETURN_IF_ERROR(store.RevokeLease(lease.lease_id, true).status());
        continue;
      }
      H1_RETURN_IF_ERROR(store.SubmitResponses(lease.lease_id, lease.attempt, "1", answers, true));
      for (const auto& [id, answer] : answers) acked.answers[answer.key] = answer.text;
      H1_RETURN_IF_ERROR(store.InsertScores(scores));
      for (const ScoreRow& score : scores) acked.scores[score.sample_id] = score.verdict;
    }
    H1_RETURN_IF_ERROR(store.FinishRun(acked.run, "finished", 1, 1));
    acked.state = "finished";
    return Status::Ok();
  }

  /// Opens the database and works; opening may fail for want of power, too.
  static void Execute(Acknowledged& acked) {
    const auto store = Store::Open("power.db", Store::Mode::kReadWrite);
    if (store.ok()) (void)Work(**store, acked);
  }

  /// What is missing or illegal, in words: everything acknowledged must be there, whole.
  static std::vector<std::string> Wrong(const Acknowledged& acked) {
    const auto opened = Store::Open("power.db", Store::Mode::kReadWrite);
    if (!opened.ok()) return {opened.status().message()};
    Store& store = **opened;
    const auto runs = store.ListRuns();
    if (!runs.ok()) return {runs.status().message()};
    if (acked.run == 0) return {};  // nothing was promised yet; whole or not at all is the store's
    if (runs->size() != 1) return {"the plan was lost"};
    std::vector<std::string> wrong;
    const std::string& state = runs->at(0).state;
    if (state != "finished" && (acked.state == "finished" || state != "running"))
      wrong.push_back("the run is " + state);
    std::size_t samples = 0, answers = 0, scores = 0;
    const Status read = store.ForEachSample(
        acked.run, [&](const VariantRow&, const RunTaskRow&, const SampleRow& sample,
                       const ResponseRow* response, const ScoreRow* score) {
          ++samples;
          if (response != nullptr && response->text != Text(static_cast<int>(sample.index)))
            wrong.push_back("another text");
          if (score != nullptr && response == nullptr) wrong.push_back("a score without an answer");
          if (response != nullptr) answers += acked.answers.count(response->key);
          if (score != nullptr) scores += acked.scores.count(score->sample_id);
          return Status::Ok();
        });
    if (!read.ok()) wrong.push_back(read.message());
    if (samples != kSamples) wrong.push_back("samples were lost");
    if (answers != acked.answers.size()) wrong.push_back("acknowledged answers were lost");
    if (scores != acked.scores.size()) wrong.push_back("stored scores were lost");
    return wrong;
  }

  /// The power fails at operation first, first + step, ... of the run, and where `again`, once more
  /// while the run is resumed. Afterwards the run is finished undisturbed.
  void FailEverywhere(std::int64_t first, std::int64_t step, bool again) {
    Acknowledged calm;
    Execute(calm);
    ASSERT_EQ(calm.answers.size(), static_cast<std::size_t>(kSamples));
    const std::int64_t operations = disk_.operations();
    ASSERT_GT(operations, 150);
    for (std::int64_t n = first; n < operations; n += step) {
      for (const Damage damage : {Damage::kDrop, Damage::kReorder, Damage::kGarbage}) {
        SCOPED_TRACE("operation " + std::to_string(n) + " of " + std::to_string(operations) +
                     ", damage " + std::to_string(static_cast<int>(damage)));
        disk_.Clear();
        Acknowledged acked;
        disk_.FailAt(n);
        Execute(acked);
        ASSERT_TRUE(disk_.off());
        disk_.Restart(damage, static_cast<std::uint64_t>(n));
        if (again) {
          disk_.FailAt(n % 41);
          Execute(acked);
          disk_.Restart(damage, static_cast<std::uint64_t>(n) + 1);
        }
        EXPECT_EQ(Wrong(acked), std::vector<std::string>{});
        // A plan that was not acknowledged may be there all the same.
        if (acked.run == 0) continue;
        Execute(acked);
        EXPECT_EQ(acked.state, "finished");
        EXPECT_EQ(Wrong(acked), std::vector<std::string>{});
        if (HasFailure()) return;
      }
    }
  }

  CrashDisk& disk_ = CrashDisk::Instance();
};
class SlowPower : public Power {};
class FullPower : public Power {};

/// Tests of one process neither lose their files to this disk nor keep these from it.
TEST_F(SlowPower, TheDiskComesAndGoes) {
  std::string pattern = (std::filesystem::temp_directory_path() / "h1bench-power-XXXXXX").string();
  const std::filesystem::path folder = mkdtemp(pattern.data());
  for (const bool in : {false, true, false, true}) {
    CrashDisk::Plug(in);
    const std::string file = folder / (in ? "in.db" : "out.db");
    const std::int64_t before = disk_.operations();
    for (int i = 0; i < 2; ++i) {
      const auto store = Store::Open(file, Store::Mode::kReadWrite);
      ASSERT_TRUE(store.ok()) << store.status().message();
    }
    EXPECT_EQ(disk_.operations() > before, in);
    EXPECT_EQ(std::filesystem::exists(file), !in);
    EXPECT_EQ(disk_.Read(file).empty(), !in);
  }
  std::filesystem::remove_all(folder);
}
TEST_F(SlowPower, FailsHereAndThere) { FailEverywhere(1, 17, false); }
TEST_F(FullPower, FailsAtEveryWriteAndSync) { FailEverywhere(1, 1, false); }
TEST_F(FullPower, FailsAgainDuringTheRecovery) { FailEverywhere(1, 3, true); }

/// A log that was cut or changed anywhere gives a run as it was at some moment: answers of the
/// first samples, whole, and nothing else.
TEST_F(SlowPower, ADamagedLogIsAnEarlierMoment) {
  sqlite3_cancel_auto_extension(reinterpret_cast<void (*)()>(CheckpointOften));
  Acknowledged acked;
  {
    const auto store = Store::Open("power.db", Store::Mode::kReadWrite);
    ASSERT_TRUE(store.ok()) << store.status().message();
    ASSERT_TRUE(Work(**store, acked).ok());
    disk_.FailAt(disk_.operations());  // the process dies: nobody tidies up
  }
  disk_.Restart(Damage::kDrop, 1);
  const std::string base = disk_.Read("power.db"), log = disk_.Read("power.db-wal");
  ASSERT_GT(log.size(), 100'000U);
  const auto answers = [&](const std::string& damaged) {
    disk_.Clear();
    disk_.Put("power.db", base);
    disk_.Put("power.db-wal", damaged);
    std::set<std::int64_t> found;
    const auto store = Store::Open("power.db", Store::Mode::kReadWrite);
    EXPECT_TRUE(store.ok()) << store.status().message();
    if (!store.ok() || (*store)->ListRuns()->empty()) return found;
    const Status read = (*store)->ForEachSample(
        1, [&](const VariantRow&, const RunTaskRow&, const SampleRow& sample,
               const ResponseRow* response, const ScoreRow*) {
          if (response == nullptr) return Status::Ok();
          EXPECT_EQ(response->text, Text(static_cast<int>(sample.index)));
          found.insert(sample.index);
          return Status::Ok();
        });
    EXPECT_TRUE(read.ok()) << read.message();
    return found;
  };
  std::size_t before = 0, steps = 0;
  for (std::size_t size = 0; size <= log.size(); size += 613) {
    SCOPED_TRACE("log of " + std::to_string(size) + " bytes");
    const std::set<std::int64_t> found = answers(log.substr(0, size));
    EXPECT_TRUE(found.empty() || *found.rbegin() + 1 == static_cast<std::int64_t>(found.size()));
    EXPECT_EQ(found.size() % kShard, 0U) << "half of a transaction";
    EXPECT_GE(found.size(), before);
    steps += found.size() > before ? 1 : 0;
    before = found.size();
    std::string flipped = log;
    if (size < log.size()) flipped[size] = static_cast<char>(flipped[size] ^ 0x10);
    const std::set<std::int64_t> rest = answers(flipped);
    EXPECT_EQ(rest.size() % kShard, 0U);
    EXPECT_TRUE(rest.empty() || *rest.rbegin() + 1 == static_cast<std::int64_t>(rest.size()));
    if (HasFailure()) return;
  }
  EXPECT_EQ(steps, static_cast<std::size_t>(kSamples / kShard));
  EXPECT_EQ(answers(log).size(), static_cast<std::size_t>(kSamples));
}

/// The checker: on a disk whose syncs do nothing, acknowledged answers are missed.
TEST_F(SlowPower, ADiskThatLiesIsNoticed) {
  Acknowledged calm;
  Execute(calm);
  const std::int64_t operations = disk_.operations();
  int noticed = 0;
  for (std::int64_t n = operations / 2; n < operations; n += 9) {
    disk_.Clear();
    disk_.Lie(true);
    Acknowledged acked;
    disk_.FailAt(n);
    Execute(acked);
    disk_.Restart(Damage::kReorder, static_cast<std::uint64_t>(n));
    disk_.Lie(false);
    noticed += Wrong(acked).empty() ? 0 : 1;
  }
  EXPECT_GT(noticed, 3);
}

}  // namespace
}  // namespace h1bench::fault
