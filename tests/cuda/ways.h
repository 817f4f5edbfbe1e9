#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "kernels/backend.h"
#include "runner/checkpoint/synthesize.h"

/// Ways to compute the same sequences: whatever the batch, the cuts, forks and the order, a row's
/// bits must be the same.
namespace h1bench::testing {

using Ids = std::vector<std::int32_t>;
/// One way: how many sequences share a Forward, how long its pieces are at most (0: whole), whether
/// a sequence begins as a fork of its own prefix, and the order.
struct Way {
  std::size_t batch, piece;
  bool fork;
  std::uint32_t order;
};

class Runner {
 public:
  /// `count` sequences of at most `longest` ids each, on random weights.
  Runner(const ModelShape& shape, const BackendOptions& options, std::size_t count,
         std::size_t longest)
      : longest_(static_cast<std::int64_t>(longest)),
        targets_{0, 77, static_cast<std::int32_t>(shape.vocab - 1)} {
    const bool gpu = options.device != Device::kCpu;
    const auto model = gpu ? SynthesizeForDevice(shape, 3) : SynthesizeInMemory(shape, 3);
    EXPECT_TRUE(model.ok());
    auto backend = CreateBackend(model->shape, model->weights, options);
    EXPECT_TRUE(backend.ok()) << backend.status().message();
    backend_ = std::move(*backend);
    std::mt19937 random(9);
    sequences_.resize(count);
    for (Ids& ids : sequences_) {
      ids.resize(1 + random() % longest);
      for (auto& id : ids) id = static_cast<std::int32_t>(random() % shape.vocab);
    }
  }
  /// The answers after every sequence's last id, in the order of the sequences.
  std::vector<RowResult> Run(const Way& way) {
    std::vector<std::size_t> order(sequences_.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::mt19937 random(way.order);
    if (way.order > 0) std::shuffle(order.begin(), order.end(), random);
    std::vector<RowResult> out(sequences_.size());
    for (std::size_t first = 0; first < order.size(); first += way.batch) {
      const std::size_t end = std::min(order.size(), first + way.batch);
      RunBatch({order.begin() + static_cast<std::ptrdiff_t>(first),
                order.begin() + static_cast<std::ptrdiff_t>(end)},
               way, random, out);
    }
    return out;
  }

 private:
  SlotId Begin(const Ids& ids, const Way& way, std::size_t& done) {
    const SlotId slot = *backend_->Allocate(longest_);
    if (!way.fork || ids.size() < 3) return slot;
    done = ids.size() / 2;
    const Segment prefix{slot, std::span(ids).first(done), {}, true};
    EXPECT_TRUE(backend_->Forward(std::span(&prefix, 1)).ok());
    const SlotId fork = *backend_->Fork(slot, longest_);
    backend_->Release(slot);
    return fork;
  }

  void RunBatch(const std::vector<std::size_t>& members, const Way& way, std::mt19937& random,
                std::vector<RowResult>& out) {
    std::vector<SlotId> slots;
    std::vector<std::size_t> done(members.size(), 0);
    for (std::size_t i = 0; i < members.size(); ++i)
      slots.push_back(Begin(sequences_[members[i]], way, done[i]));
    for (bool more = true; more;) {
      std::vector<Segment> segments;
      std::vector<std::size_t> asked;
      for (std::size_t i = 0; i < members.size(); ++i) {
        const Ids& ids = sequences_[members[i]];
        const std::size_t left = ids.size() - done[i];
        if (left == 0) continue;
        const std::size_t count =
            way.piece == 0 ? left : std::min<std::size_t>(left, 1 + random() % way.piece);
        Segment segment{slots[i], std::span(ids).subspan(done[i], count), {}, true};
        done[i] += count;
        if (done[i] == ids.size()) {
          segment.rows = {{static_cast<std::int32_t>(count - 1), targets_, nullptr}};
          asked.push_back(members[i]);
        }
        segments.push_back(segment);
      }
      more = !segments.empty();
      if (!more) break;
      const auto result = backend_->Forward(segments);
      ASSERT_TRUE(result.ok()) << result.status().message();
      for (std::size_t i = 0; i < asked.size(); ++i) out[asked[i]] = (*result)[i];
    }
    for (const SlotId slot : slots) backend_->Release(slot);
  }

  std::unique_ptr<Backend> backend_;
  std::int64_t longest_;
  std::array<std::int32_t, 3> targets_;
  std::vector<Ids> sequences_;
};

inline std::size_t Differing(const std::vector<RowResult>& a, const std::vector<RowResult>& b) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    count += a[i].argmax != b[i].argmax || a[i].target_logits != b[i].target_logits ||
             std::memcmp(&a[i].log_sum_exp, &b[i].log_sum_exp, sizeof(double)) != 0;
  }
  return count;
}

struct Ways {
  std::size_t ways = 0, differing = 0;
};
/// Runs every combination, with and without forks, and counts the ways and the answers that differ
/// from those of each sequence alone. A piece of 0 is a whole sequence.
inline Ways RunWays(Runner& runner, const std::vector<std::size_t>& batches,
                    const std::vector<std::size_t>& pieces, std::uint32_t orders) {
  const std::vector<RowResult> alone = runner.Run({1, 0, false, 0});
  Ways out;
  for (const std::size_t batch : batches) {
    for (const std::size_t piece : pieces) {
      for (const bool fork : {false, true}) {
        for (std::uint32_t order = 0; order < orders; ++order) {
          out.differing += Differing(runner.Run({batch, piece, fork, order}), alone);
          ++out.ways;
        }
      }
    }
  }
  std::vector<RowResult> planted = alone;  // the comparison must see one changed bit
  planted.back().target_logits[1] = std::nextafter(planted.back().target_logits[1], 1e9F);
  EXPECT_EQ(Differing(planted, alone), 1U);
  return out;
}

}  // namespace h1bench::testing
