#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernels/backend.h"
#include "kernels/common/slots.h"
#include "runner/estimate/forward_rates.h"

namespace h1bench {

/// A backend that computes nothing: it keeps the books. Run by the real engine, it shows what the
/// engine would do, Forward by Forward, and adds up what that would take, on one account for each
/// lease. Every generation goes on for as many tokens as its account expects, then gives kEnd.
class CountingBackend final : public Backend {
 public:
  static constexpr std::int32_t kEnd = 0;  // give it to the engine as its EOS

  struct Account {
    double expected_tokens = 0;  // of a generation, the end's included
    ForwardSeconds seconds;
    std::int64_t prompt_tokens = 0;  // computed
    std::int64_t steps = 0;          // tokens fed to generations
  };

  /// `rates` may be empty: then nothing but counts comes out. Opens the first account.
  CountingBackend(const ModelShape& shape, const BackendOptions& options, ForwardRates rates,
                  double expected_tokens);

  /// Opens an account: what is allocated from now on, and what is forked from that, goes there.
  void Open(double expected_tokens) { accounts_.emplace_back().expected_tokens = expected_tokens; }
  /// In the order of opening.
  const std::vector<Account>& accounts() const { return accounts_; }

  Result<SlotId> Allocate(std::int64_t max_tokens) override;
  void Release(SlotId slot) override;
  Result<SlotId> Fork(SlotId from, std::int64_t max_tokens) override;
  std::int64_t Length(SlotId slot) const override { return slots_.Length(slot); }
  Result<std::vector<RowResult>> Forward(std::span<const Segment> segments) override;
  const ModelShape& shape() const override { return shape_; }
  const BackendOptions& options() const override { return options_; }
  MemoryPlan MemoryUsed() const override { return {}; }
  std::string Identity() const override { return "counting"; }

 private:
  struct Nothing {};
  struct Sequence {
    std::size_t account = 0;
    std::optional<std::int64_t> steps_left;  // of its generation, once that has begun
  };
  bool EndsNow(Sequence& sequence);

  ModelShape shape_;
  BackendOptions options_;
  ForwardRates rates_;
  common::SlotTable<Nothing> slots_;
  std::map<SlotId, Sequence> sequences_;
  std::vector<Account> accounts_;
  double owed_ = 0;  // of a token, to the next generation
};

}  // namespace h1bench
