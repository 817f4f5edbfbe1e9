// Percentiles against values counted by hand, waits, and phases.
#include "reports/speed.h"

#include <gtest/gtest.h>

#include "reports/render/render.h"

namespace h1bench::reports {
namespace {

TEST(Percentiles, AreTheNearestRanks) {
  std::vector<double> values;
  for (int i = 200; i >= 1; --i) values.push_back(i);
  const Percentiles many = PercentilesOf(values);
  EXPECT_EQ(many.n, 200);
  EXPECT_EQ(many.p50, 100);
  EXPECT_EQ(many.p95, 190);
  EXPECT_EQ(many.p99, 198);
  std::vector<double> three = {9, 1, 5}, one = {7}, none;
  EXPECT_EQ(PercentilesOf(three).p50, 5);
  EXPECT_EQ(PercentilesOf(three).p95, 9);
  EXPECT_EQ(PercentilesOf(one).p50, 7);
  EXPECT_EQ(PercentilesOf(one).p99, 7);
  EXPECT_EQ(PercentilesOf(none).n, 0);
}

ResponseRow Generation(double queue, double prefill, std::vector<std::int32_t> gaps) {
  ResponseRow row;
  row.queue_seconds = queue, row.prefill_seconds = prefill;
  row.generated_tokens = static_cast<std::int64_t>(gaps.size()) + 1;
  row.inter_token_us = std::move(gaps);
  return row;
}

Json Parsed(const char* text) { return ParseJson(text).value(); }

TEST(WaitMeter, TimesAreThoseOfGenerations) {
  WaitMeter meter;
  meter.Add(Generation(0.5, 0.25, {10'000, 30'000}));
  meter.Add(Generation(1.5, 0.5, {20'000}));
  ResponseRow scored;  // a log-likelihood has no first token
  scored.queue_seconds = 100;
  meter.Add(scored);
  ResponseRow failed = Generation(200, 0, {});
  failed.error = "too long";
  meter.Add(failed);
  Speed speed;
  meter.Finish(speed);
  EXPECT_EQ(speed.ttft.n, 2);
  EXPECT_EQ(speed.ttft.p50, 0.75);
  EXPECT_EQ(speed.ttft.p95, 2);
  EXPECT_EQ(speed.inter_token.n, 3);
  EXPECT_EQ(speed.inter_token.p50, 0.02);
}

TEST(Phases, AddUpOverWorkers) {
  std::vector<PhaseCost> phases;
  AddPhases(Parsed(R"({"prefill_seconds": 2.0, "decode_seconds": 3.0, "mixed_seconds": 0,
      "gpu": {"joules": 600.0, "phases": {"prefill": {"seconds": 2.1, "joules": 250.0},
                                          "decode": {"seconds": 3.1, "joules": 300.0}}}})"),
            phases);
  AddPhases(Parsed(R"({"prefill_seconds": 1.0,
      "gpu": {"joules": 300.0, "phases": {"prefill": {"seconds": 1.1, "joules": 50.0}}}})"),
            phases);
  ASSERT_EQ(phases.size(), 2U);
  EXPECT_EQ(phases[0].name, "prefill");
  EXPECT_EQ(phases[0].seconds, 3);
  EXPECT_EQ(phases[0].joules, 300);
  EXPECT_EQ(phases[1].joules, 300);
  // The energy of some of the workers is not that of the phase.
  AddPhases(Parsed(R"({"decode_seconds": 1.0, "gpu": 7})"), phases);
  EXPECT_EQ(phases[1].seconds, 4);
  EXPECT_EQ(phases[1].joules, std::nullopt);
}

TEST(SpeedTable, SaysWhatIsKnownAndNothingWithoutTiming) {
  Report report;
  report.variants.resize(2);
  report.variants[0].name = "a", report.variants[0].precision = "bf16";
  report.variants[0].speed.ttft = {4, 0.0123, 1.5, 75};
  report.variants[0].speed.phases = {{"prefill", 2, 80.4}, {"mixed", 3, std::nullopt}};
  report.ranking = {1, 0};
  const auto rows = SpeedTable(report);
  ASSERT_EQ(rows.size(), 2U);  // nothing was measured of the other one
  EXPECT_EQ(rows[1], (std::vector<std::string>{"a bf16", "12.3 ms / 1.5 s / 1 min 15 s", "n/a",
                                               "2.0 s, 80 J", "n/a", "3.0 s"}));
  report.timing = false;
  EXPECT_TRUE(SpeedTable(report).empty());
}

}  // namespace
}  // namespace h1bench::reports
