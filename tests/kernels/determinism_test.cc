// A row's bits are a function of the ids before it: not of the batch, the cuts, forks, keep, or
// threads.
#include <random>

#include "tests/kernels/golden.h"

namespace h1bench {
namespace {

using testing::Ids;

struct Rows {
  std::vector<float> logits;  // (ids, vocab)
  std::vector<RowResult> answers;
};

bool SameBits(const Rows& a, const Rows& b, std::int64_t vocab, std::size_t first) {
  const std::size_t skip = first * static_cast<std::size_t>(vocab);
  if (a.logits.size() != b.logits.size() ||
      std::memcmp(a.logits.data() + skip, b.logits.data() + skip, (a.logits.size() - skip) * 4) !=
          0) {
    return false;
  }
  for (std::size_t i = first; i < a.answers.size(); ++i) {
    const RowResult &x = a.answers[i], &y = b.answers[i];
    if (x.argmax != y.argmax || x.target_logits != y.target_logits ||
        std::memcmp(&x.log_sum_exp, &y.log_sum_exp, sizeof x.log_sum_exp) != 0) {
      return false;
    }
  }
  return true;
}

/// Runs sequences through one backend and keeps every row.
class Runner {
 public:
  Runner(const std::string& model, Precision precision, int threads) {
    const auto opened = Checkpoint::Open(testing::GoldensDir() / "models" / model);
    EXPECT_TRUE(opened.ok());
    backend_ = testing::MakeBackend(*opened, precision, threads, 8192);
  }
  Backend& backend() { return *backend_; }
  std::int64_t vocab() const { return backend_->shape().vocab; }
  SlotId NewSlot() { return *backend_->Allocate(2000); }
  Rows Empty(const Ids& ids) const {
    return {std::vector<float>(ids.size() * static_cast<std::size_t>(vocab())),
            std::vector<RowResult>(ids.size())};
  }

  /// Plans ids[begin, end) into `rows`; Go() runs everything planned in one Forward.
  void Plan(SlotId slot, const Ids& ids, std::size_t begin, std::size_t end, Rows& rows,
            bool keep = true) {
    Segment segment{slot, std::span(ids).subspan(begin, end - begin), {}, keep};
    for (std::size_t i = begin; i < end; ++i) {
      segment.rows.push_back({static_cast<std::int32_t>(i - begin), kTargets,
                              rows.logits.data() + i * static_cast<std::size_t>(vocab())});
      places_.push_back(&rows.answers[i]);
    }
    segments_.push_back(std::move(segment));
  }
  void Go() {
    auto result = backend_->Forward(segments_);
    ASSERT_TRUE(result.ok()) << result.status().message();
    for (std::size_t i = 0; i < places_.size(); ++i) *places_[i] = (*result)[i];
    segments_.clear();
    places_.clear();
  }
  Rows Alone(const Ids& ids) {
    Rows rows = Empty(ids);
    const SlotId slot = NewSlot();
    Plan(slot, ids, 0, ids.size(), rows);
    Go();
    backend_->Release(slot);
    return rows;
  }

 private:
  static constexpr std::array<std::int32_t, 3> kTargets = {0, 7, 99};
  std::unique_ptr<Backend> backend_;
  std::vector<Segment> segments_;
  std::vector<RowResult*> places_;
};

/// 64 sequences of 1 to 90 ids; every second one shares its first 40 with the one before.
std::vector<Ids> Sequences(std::int64_t vocab) {
  std::mt19937 random(17);
  std::vector<Ids> out(64);
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i].resize(1 + random() % 90);
    for (auto& id : out[i])
      id = static_cast<std::int32_t>(random() % static_cast<std::uint32_t>(vocab));
    if (i % 2 == 1)
      std::copy_n(out[i - 1].begin(), std::min({out[i].size(), out[i - 1].size(), std::size_t{40}}),
                  out[i].begin());
  }
  return out;
}

struct Case {
  const char* model;
  Precision precision;
};

class Determinism : public ::testing::TestWithParam<Case> {
 protected:
  Determinism()
      : runner_(GetParam().model, GetParam().precision, 2), sequences_(Sequences(runner_.vocab())) {
    for (const Ids& ids : sequences_) alone_.push_back(runner_.Alone(ids));
  }
  void Expect(const Rows& rows, std::size_t i, std::size_t first = 0) {
    EXPECT_TRUE(SameBits(rows, alone_[i], runner_.vocab(), first)) << "sequence " << i;
  }
  Runner runner_;
  std::vector<Ids> sequences_;
  std::vector<Rows> alone_;
};

TEST_P(Determinism, Batches) {
  for (const std::size_t batch : {3U, 8U, 64U}) {
    for (std::size_t first = 0; first < 64; first += batch) {
      const std::size_t end = std::min<std::size_t>(64, first + batch);
      std::vector<Rows> rows;
      for (std::size_t i = first; i < end; ++i) rows.push_back(runner_.Empty(sequences_[63 - i]));
      std::vector<SlotId> slots;
      for (std::size_t i = first; i < end; ++i) {
        const Ids& ids = sequences_[63 - i];
        slots.push_back(runner_.NewSlot());
        runner_.Plan(slots.back(), ids, 0, ids.size(), rows[i - first]);
      }
      runner_.Go();
      for (std::size_t i = first; i < end; ++i) Expect(rows[i - first], 63 - i);
      for (const SlotId slot : slots) runner_.backend().Release(slot);
    }
  }
}

TEST_P(Determinism, AnyCutsTogether) {
  for (const std::uint32_t longest : {1U, 5U, 16U, 33U}) {
    std::mt19937 random(longest);
    std::vector<Rows> rows;
    std::vector<SlotId> slots;
    std::vector<std::size_t> done(64, 0);
    for (const Ids& ids : sequences_)
      rows.push_back(runner_.Empty(ids)), slots.push_back(runner_.NewSlot());
    for (bool more = true; more;) {
      more = false;
      for (std::size_t i = 0; i < 64; ++i) {
        const std::size_t end = std::min(sequences_[i].size(), done[i] + 1 + random() % longest);
        if (end == done[i]) continue;
        runner_.Plan(slots[i], sequences_[i], done[i], end, rows[i]);
        done[i] = end;
        more = true;
      }
      runner_.Go();
    }
    for (std::size_t i = 0; i < 64; ++i) Expect(rows[i], i);
    for (const SlotId slot : slots) runner_.backend().Release(slot);
  }
}

TEST_P(Determinism, ForksGoTheirOwnWays) {
  for (std::size_t i = 0; i < 64; i += 2) {
    const Ids &left = sequences_[i], &right = sequences_[i + 1];
    const std::size_t shared = std::min({left.size(), right.size(), std::size_t{40}}) - 1;
    if (shared == 0) continue;
    Rows a = runner_.Empty(left), b = runner_.Empty(right);
    const SlotId slot = runner_.NewSlot();
    runner_.Plan(slot, left, 0, shared, a);
    runner_.Go();
    const SlotId fork = *runner_.backend().Fork(slot, 2000);
    runner_.Plan(fork, right, shared, right.size(), b);
    runner_.Go();
    runner_.backend().Release(fork);
    runner_.Plan(slot, left, shared, left.size(), a);
    runner_.Go();
    Expect(a, i);
    Expect(b, i + 1, shared);
    runner_.backend().Release(slot);
  }
}

TEST_P(Determinism, ScoringLeavesTheSlotAsItWas) {
  for (std::size_t i = 0; i < 64; i += 2) {
    const Ids &left = sequences_[i], &right = sequences_[i + 1];
    const std::size_t shared = std::min({left.size(), right.size(), std::size_t{40}}) - 1;
    Rows a = runner_.Empty(left), b = runner_.Empty(right), c = runner_.Empty(right),
         d = runner_.Empty(left);
    const SlotId slot = runner_.NewSlot(), other = runner_.NewSlot();
    if (shared > 0) {
      runner_.Plan(slot, left, 0, shared, a);
      runner_.Go();
    }
    runner_.Plan(slot, right, shared, right.size(), b, false);
    runner_.Plan(other, left, 0, left.size(), d);
    runner_.Plan(slot, left, shared, left.size(), a, false);
    runner_.Plan(slot, right, shared, right.size(), c, false);
    runner_.Go();
    EXPECT_EQ(runner_.backend().Length(slot), static_cast<std::int64_t>(shared));
    Expect(a, i);
    Expect(b, i + 1, shared);
    Expect(c, i + 1, shared);
    Expect(d, i);
    runner_.Plan(slot, left, shared, left.size(), a);
    runner_.Go();
    Expect(a, i);
    runner_.backend().Release(slot);
    runner_.backend().Release(other);
  }
}

TEST_P(Determinism, OneThread) {
  Runner one(GetParam().model, GetParam().precision, 1);
  for (std::size_t i = 0; i < 64; ++i) {
    EXPECT_TRUE(SameBits(one.Alone(sequences_[i]), alone_[i], one.vocab(), 0)) << i;
  }
}

/// The comparison must see one changed id, and only from there on.
TEST_P(Determinism, ChangedIdIsSeen) {
  Ids changed = sequences_[0];
  ASSERT_GT(changed.size(), 4U);
  const std::size_t at = changed.size() / 2;
  changed[at] = (changed[at] + 1) % static_cast<std::int32_t>(runner_.vocab());
  const Rows rows = runner_.Alone(changed);
  const auto vocab = static_cast<std::size_t>(runner_.vocab());
  EXPECT_EQ(std::memcmp(rows.logits.data(), alone_[0].logits.data(), at * vocab * 4), 0);
  EXPECT_FALSE(SameBits(rows, alone_[0], runner_.vocab(), at));
  EXPECT_FALSE(SameBits(rows, alone_[0], runner_.vocab(), changed.size() - 1));
}

std::string CaseName(const ::testing::TestParamInfo<Case>& given) {
  std::string name = std::string(given.param.model) + "_" + PrecisionName(given.param.precision);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(Models, Determinism,
                         ::testing::Values(Case{"plain", Precision::kFp32},
                                           Case{"plain", Precision::kBf16},
                                           Case{"norm-before-gate", Precision::kFp32},
                                           Case{"long", Precision::kBf16}),
                         CaseName);

/// Over several KV tiles: 700 positions whole, in pieces of 1 and of 37, and from a fork at 129.
class LongDeterminism : public ::testing::TestWithParam<Precision> {};
TEST_P(LongDeterminism, TilesAndPieces) {
  Runner runner("long", GetParam(), 2);
  const testing::GoldenSequence golden =
      testing::ReadGolden(testing::GoldensDir() / "models/long", "a");
  const Ids ids(golden.ids.begin(), golden.ids.begin() + 700);
  const Rows whole = runner.Alone(ids);
  for (const std::size_t piece : {1U, 37U, 129U}) {
    Rows rows = runner.Empty(ids);
    SlotId slot = runner.NewSlot();
    for (std::size_t first = 0; first < ids.size(); first += piece) {
      runner.Plan(slot, ids, first, std::min(ids.size(), first + piece), rows);
      runner.Go();
      if (piece == 129) slot = *runner.backend().Fork(slot, 2000);
    }
    EXPECT_TRUE(SameBits(rows, whole, runner.vocab(), 0)) << piece;
  }
}

/// Three segments that are not kept, of one slot and a fresh one, cut by blocks of rows at
/// different places: what a block leaves for the next is each segment's own.
TEST_P(LongDeterminism, BlocksCutSegmentsThatAreNotKept) {
  Runner runner("long", GetParam(), 2);
  const testing::GoldenSequence golden =
      testing::ReadGolden(testing::GoldensDir() / "models/long", "a");
  const Ids ids(golden.ids.begin(), golden.ids.begin() + 700);
  const Rows whole = runner.Alone(ids);
  Rows a = runner.Empty(ids), b = runner.Empty(ids), c = runner.Empty(ids);
  const SlotId slot = runner.NewSlot(), fresh = runner.NewSlot();
  runner.Plan(slot, ids, 0, 101, a);
  runner.Go();
  runner.Plan(slot, ids, 101, 700, a, false);
  runner.Plan(fresh, ids, 0, 700, b, false);
  runner.Plan(slot, ids, 101, 700, c, false);
  runner.Go();
  EXPECT_TRUE(SameBits(a, whole, runner.vocab(), 0));
  EXPECT_TRUE(SameBits(b, whole, runner.vocab(), 0));
  EXPECT_TRUE(SameBits(c, whole, runner.vocab(), 101));
}

INSTANTIATE_TEST_SUITE_P(Precisions, LongDeterminism,
                         ::testing::Values(Precision::kFp32, Precision::kBf16),
                         [](const auto& given) { return std::string(PrecisionName(given.param)); });

}  // namespace
}  // namespace h1bench
