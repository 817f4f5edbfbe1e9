#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "tests/cli/run_process.h"
#include "tests/fault/checker.h"
#include "tests/paths.h"

/// What the scenarios share: a suite, its undisturbed run, and processes to hurt. The null engine
/// answers (a hash of the request), so that only the harness is at work.
namespace h1bench::fault {

using testing::Alive;
using testing::Program;
using testing::ReadText;
using testing::WaitUntil;

constexpr double kPatience = 120;  // seconds; the machine may be busy

inline std::vector<std::string> operator+(std::vector<std::string> a,
                                          const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

class FaultTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "h1bench-fault-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    const char* seed = std::getenv("H1BENCH_FAULT_SEED");
    seed_ = seed == nullptr ? 1 : std::strtoull(seed, nullptr, 10);
    random_.seed(seed_);
    RecordProperty("seed", std::to_string(seed_));
  }
  void TearDown() override {
    if (HasFailure() && std::getenv("H1BENCH_FAULT_KEEP") != nullptr)
      std::fprintf(stderr, "kept: %s (seed %llu)\n", folder_.c_str(),
                   static_cast<unsigned long long>(seed_));
    else
      std::filesystem::remove_all(folder_);
  }

  /// Writes the suite: 40 × (2 + `repeats`) requests, half of them log-likelihoods of two models'
  /// worth (`precisions`: one, half of all that); and runs it undisturbed.
  void Calm(int repeats = 2, const std::string& precisions = "bf16, fp32") {
    const std::string demo = (testing::SourceDir() / "demo").string();
    std::ofstream(Suite()) << "name: faults\ndata: " << demo
                           << "/data\nmodels:\n  - {name: toy, path: " << demo
                           << "/models/toy, precisions: [" << precisions << "]}\ntasks:\n"
                           << "  - {task: mmlu, subjects: [anatomy, formal_logic], shots: 1}\n"
                           << "  - {task: gsm8k, shots: 1, temperature: 0.8, repeats: " << repeats
                           << "}\n";
    ASSERT_EQ(Finish("calm", {"run", Suite().string()}), 0);
    calm_ = Look(Db("calm"));
    ASSERT_EQ(calm_.wrong, std::vector<std::string>{});
    ASSERT_GT(calm_.samples.size(), 100U);
  }

  std::filesystem::path Suite() const { return folder_ / "suite.yaml"; }
  std::filesystem::path Db(const std::string& name) const { return folder_ / (name + ".db"); }
  std::vector<std::string> Options(const std::string& name) const {
    return {"--db", Db(name).string(), "--progress", "none", "--json"};
  }
  /// `run` or `resume` to its end; the exit code.
  int Finish(const std::string& name, const std::vector<std::string>& command) {
    Program program(folder_, name,
                    command + Options(name) + std::vector<std::string>{"--engine", "null"});
    const int code = program.Wait();
    if (code != 0) std::fprintf(stderr, "%s", program.err().c_str());
    return code;
  }
  /// The database is what the undisturbed run left.
  void ExpectCalm(const std::string& name) {
    EXPECT_EQ(Differences(calm_, Look(Db(name))), std::vector<std::string>{});
  }

  std::int64_t Answered(const std::string& name) {
    return Number(Db(name), "SELECT count(*) FROM responses");
  }
  /// Samples that one more loss would poison: a kill then would be the poison scenario.
  bool Brittle(const std::string& name) {
    return Number(Db(name),
                  "SELECT count(*) FROM samples s WHERE losses >= 2 AND NOT EXISTS (SELECT 1 FROM "
                  "responses r WHERE r.key = s.request_key) AND EXISTS (SELECT 1 FROM leases l "
                  "JOIN lease_samples m ON m.lease_id = l.id WHERE l.state = 'open' AND "
                  "m.sample_id = s.id)") != 0;
  }
  int Random(int least, int most) {
    return std::uniform_int_distribution<int>(least, most)(random_);
  }
  static void Sleep(int milliseconds) {
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
  }

  std::filesystem::path folder_;
  Outcome calm_;
  std::uint64_t seed_ = 1;
  std::mt19937_64 random_;
};

/// A coordinator of its own with leases that end after `ttl_ms`.
class Coordinator {
 public:
  Coordinator(const std::filesystem::path& folder, const std::filesystem::path& db, int ttl_ms,
              const std::string& listen = "127.0.0.1:0")
      : program_(folder, "coordinator",
                 {"coordinator", "--db", db.string(), "--listen", listen, "--engine", "null",
                  "--lease-ttl-ms", std::to_string(ttl_ms)}) {
    EXPECT_TRUE(WaitUntil(
        [&] { return program_.out().find("database ") != std::string::npos || program_.Ended(); },
        kPatience))
        << program_.err();
    const std::string text = program_.out();
    const std::size_t start = text.find("listening on ");
    EXPECT_NE(start, std::string::npos) << text << program_.err();
    if (start != std::string::npos)
      address_ = text.substr(start + 13, text.find(',', start) - start - 13);
  }
  const std::string& address() const { return address_; }
  Program& program() { return program_; }
  std::vector<std::string> Worker(const std::string& name, int delay_ms) const {
    return {
        "worker",          "--coordinator",         address_, "--name", name, "--engine", "null",
        "--null-delay-ms", std::to_string(delay_ms)};
  }

 private:
  Program program_;
  std::string address_;
};

}  // namespace h1bench::fault
