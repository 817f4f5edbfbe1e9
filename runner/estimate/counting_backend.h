#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "kernels/backend.h"
#include "kernels/common/slots.h"
#include "runner/estimate/forward_rates.h"

namespace h1bench {

/// A backend that computes nothing: it keeps the books. Run by the real engine, it shows what the
/// engine would do, Forward by Forward, and adds up what that would take. Every generation goes on
/// for as many tokens as `expected_tokens` says, then gives kEnd.
class CountingBackend final : public Backend {
 public:
  static constexpr std::int32_t kEnd = 0;  // give it to the engine as its EOS

  /// `rates` may be empty: then nothing but counts comes out.
  CountingBackend(const ModelShape& shape, const BackendOptions& options, ForwardRates rates);

  /// Tokens of the generations that follow, the end's included; at least 1.
  void set_expected_tokens(double tokens) { expected_tokens_ = tokens; }

  Result<SlotId> Allocate(std::int64_t max_tokens) override;
  void Release(SlotId slot) override;
  Result<SlotId> Fork(SlotId from, std::int64_t max_tokens) override;
  std::int64_t Length(SlotId slot) const override { return slots_.Length(slot); }
  Result<std::vector<RowResult>> Forward(std::span<const Segment> segments) override;
  const ModelShape& shape() const override { return shape_; }
  const BackendOptions& options() const override { return options_; }
  MemoryPlan MemoryUsed() const override { return {}; }
  std::string Identity() const override { return "counting"; }

  /// Since it was made.
  const ForwardSeconds& seconds() const { return seconds_; }
  std::int64_t prompt_tokens() const { return prompt_tokens_; }  // computed
  std::int64_t steps() const { return steps_; }                  // tokens fed to generations

 private:
  struct Nothing {};
  bool EndsNow(SlotId slot);
  void Add(const Segment& segment, std::int64_t length, ForwardWork& work);

  ModelShape shape_;
  BackendOptions options_;
  ForwardRates rates_;
  common::SlotTable<Nothing> slots_;
  std::map<SlotId, std::int64_t> left_;  // steps of the generations in flight
  double expected_tokens_ = 1, owed_ = 0;
  ForwardSeconds seconds_;
  std::int64_t prompt_tokens_ = 0, steps_ = 0;
};

}  // namespace h1bench
