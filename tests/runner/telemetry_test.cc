// Telemetry against libraries that answer like NVML with known values (tests/nvml).
#include "runner/worker/telemetry.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <utility>

#include "tests/paths.h"

namespace h1bench {
namespace {

std::unique_ptr<Telemetry> OpenFake(const char* name,
                                    std::chrono::milliseconds every = std::chrono::hours(1)) {
  const std::string path = testing::BinaryDir() / "tests" / name;
  setenv("H1BENCH_NVML_LIBRARY", path.c_str(), 1);
  auto out = Telemetry::Open(every);
  unsetenv("H1BENCH_NVML_LIBRARY");
  return out;
}

TEST(Telemetry, AbsentLibraryIsNoError) { EXPECT_EQ(OpenFake("libno_such_library.so"), nullptr); }

TEST(Telemetry, EveryFigureOfTheCounterLibrary) {
  const auto telemetry = OpenFake("libfake_nvml.so");
  ASSERT_NE(telemetry, nullptr);
  EXPECT_EQ(telemetry->Name(), "Fake GPU");
  telemetry->Resume();
  telemetry->Pause();
  const GpuUsage usage = telemetry->Usage();
  ASSERT_TRUE(usage.joules && usage.mean_watts);
  EXPECT_TRUE(usage.energy_counter);
  EXPECT_DOUBLE_EQ(*usage.joules, 2.5);  // two readings, one step
  EXPECT_DOUBLE_EQ(*usage.mean_watts, 2.5 / usage.seconds);
  EXPECT_EQ(usage.peak_watts, 450.0);
  EXPECT_EQ(usage.sm_clock_min, 1755);
  EXPECT_EQ(usage.sm_clock_max, 1755);
  EXPECT_EQ(usage.celsius_max, 61);
  EXPECT_EQ(usage.driver, "580.1.2");
  EXPECT_EQ(usage.memory_max, 50'000);
  EXPECT_EQ(usage.foreign, (std::set<pid_t>{4'000'001}));
}

TEST(Telemetry, SpansAddUpAndTheTimeBetweenDoesNot) {
  const auto telemetry = OpenFake("libfake_nvml.so");
  ASSERT_NE(telemetry, nullptr);
  for (int span = 0; span < 3; ++span) {
    telemetry->Resume();
    telemetry->Pause();
    usleep(20'000);
  }
  const GpuUsage usage = telemetry->Usage();
  EXPECT_DOUBLE_EQ(usage.joules.value_or(0), 7.5);  // not the steps between spans
  telemetry->Reset();
  EXPECT_EQ(telemetry->Usage().joules, std::nullopt);
}

/// Each reading of the fake counter is 2.5 J after the one before: a change of phase reads once.
TEST(Telemetry, PhasesShareOutTimeAndEnergy) {
  const auto telemetry = OpenFake("libfake_nvml.so");
  ASSERT_NE(telemetry, nullptr);
  telemetry->Resume();
  telemetry->Enter(Phase::kPrefill);  // what came before belongs to none
  usleep(20'000);
  telemetry->Enter(Phase::kPrefill);  // no change, no reading
  telemetry->Enter(Phase::kDecode);
  telemetry->Enter(Phase::kPrefill);
  telemetry->Pause();
  const GpuUsage usage = telemetry->Usage();
  EXPECT_DOUBLE_EQ(*usage.joules, 10);
  const auto of = [&](Phase phase) { return usage.phases[static_cast<std::size_t>(phase)]; };
  EXPECT_DOUBLE_EQ(of(Phase::kPrefill).joules.value_or(0), 5);
  EXPECT_DOUBLE_EQ(of(Phase::kDecode).joules.value_or(0), 2.5);
  EXPECT_EQ(of(Phase::kMixed).joules, std::nullopt);
  EXPECT_GE(of(Phase::kPrefill).seconds, 0.02);
  EXPECT_LT(of(Phase::kDecode).seconds, of(Phase::kPrefill).seconds);
  EXPECT_LE(of(Phase::kPrefill).seconds + of(Phase::kDecode).seconds, usage.seconds);
  const Json json = ToJson("x", usage);
  EXPECT_EQ(json.Find("phases")->Find("prefill")->Find("joules")->as_double(), 5);
  EXPECT_EQ(json.Find("phases")->Find("mixed"), nullptr);
  telemetry->Reset();
  EXPECT_EQ(telemetry->Usage().phases[0].seconds, 0);
}

TEST(Telemetry, ReadsWhileASpanIsOpen) {
  const auto telemetry = OpenFake("libfake_nvml.so", Telemetry::kEvery);
  ASSERT_NE(telemetry, nullptr);
  telemetry->Resume();
  usleep(350'000);
  telemetry->Pause();
  EXPECT_GE(telemetry->Usage().joules.value_or(0), 5.0);  // more than its two ends: the thread ran
}

TEST(Telemetry, WithoutTheCounterPowerIsIntegrated) {
  const auto telemetry = OpenFake("libfake_nvml_no_energy.so", Telemetry::kEvery);
  ASSERT_NE(telemetry, nullptr);
  telemetry->Resume();
  usleep(120'000);
  telemetry->Pause();
  const GpuUsage usage = telemetry->Usage();
  EXPECT_FALSE(usage.energy_counter);
  ASSERT_TRUE(usage.joules && usage.mean_watts);
  EXPECT_NEAR(*usage.joules, 300 * usage.seconds, 1e-9);
  EXPECT_NEAR(*usage.mean_watts, 300, 1e-9);
}

/// A card whose readings the test sets.
struct ScriptedNvml : Nvml {
  std::optional<double> joules = 10, watts = 100;
  std::vector<pid_t> processes;
  std::string Name() const override { return "scripted"; }
  std::optional<std::string> Driver() const override { return {}; }
  std::optional<double> Joules() const override { return joules; }
  std::optional<double> Watts() const override { return watts; }
  std::optional<std::int64_t> SmClockMhz() const override { return {}; }
  std::optional<std::int64_t> Celsius() const override { return {}; }
  std::optional<std::int64_t> MemoryUsed() const override { return {}; }
  std::vector<pid_t> ComputeProcesses() const override { return processes; }
};

TEST(Telemetry, CounterThatRunsBackwardsAndNoPowerGiveNoEnergy) {
  auto owned = std::make_unique<ScriptedNvml>();
  ScriptedNvml& card = *owned;
  card.watts = std::nullopt;
  Telemetry telemetry(std::move(owned));
  telemetry.Resume();
  card.joules = 5;
  telemetry.Pause();
  EXPECT_EQ(telemetry.Usage().joules, std::nullopt);
  EXPECT_EQ(ToJson("x", telemetry.Usage()).Find("joules"), nullptr);
}

TEST(Telemetry, OwnProcessUnderAnotherIdIsNotForeign) {
  auto owned = std::make_unique<ScriptedNvml>();
  ScriptedNvml& card = *owned;
  card.processes = {11};
  Telemetry telemetry(std::move(owned));
  card.processes = {11, 12};  // 12 came with our context: it may be us
  telemetry.Resume();
  telemetry.Pause();
  EXPECT_EQ(telemetry.Usage().foreign, (std::set<pid_t>{11}));
  card.processes = {11, 12, getpid()};  // the driver knows us: 12 is another
  telemetry.Resume();
  telemetry.Pause();
  EXPECT_EQ(telemetry.Usage().foreign, (std::set<pid_t>{11, 12}));
}

}  // namespace
}  // namespace h1bench
