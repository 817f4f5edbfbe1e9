// h1bench logits and bench, as a person runs them.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>

#include "base/file.h"
#include "base/json.h"
#include "runner/checkpoint/safetensors.h"
#include "tests/cli/run_program.h"
#include "tests/paths.h"

namespace h1bench {
namespace {

namespace fs = std::filesystem;
using testing::ProgramResult;
using testing::RunProgram;

class EngineCommands : public ::testing::Test {
 protected:
  EngineCommands()
      : folder_(fs::temp_directory_path() / ("h1-engine-" + std::to_string(getpid()))) {
    fs::create_directories(folder_);
  }
  ~EngineCommands() override { fs::remove_all(folder_); }
  ProgramResult Program(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), testing::BinaryPath().string());
    return RunProgram(arguments);
  }
  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name) << text;
    return (folder_ / name).string();
  }
  fs::path folder_;
  std::string model_ = (testing::GoldensDir() / "models/plain").string();
};

TEST_F(EngineCommands, LogitsEqualTheGoldenOnes) {
  const auto golden = ParseJson(*ReadFile(fs::path(model_) / "golden.json"));
  const std::string ids = Write("ids.json", WriteJson(*golden->Find("sequences")->Find("a")));
  const fs::path output = folder_ / "logits.safetensors";
  const ProgramResult run =
      Program({"logits", model_, "--ids", ids, "--precision", "fp32", "--output", output.string()});
  ASSERT_EQ(run.exit_code, 0) << run.output;

  const auto ours = SafetensorsFile::Open(output);
  const auto theirs = SafetensorsFile::Open(fs::path(model_) / "golden_logits.safetensors");
  ASSERT_TRUE(ours.ok() && theirs.ok());
  const TensorView *a = ours->Find("logits"), *b = theirs->Find("a");
  ASSERT_NE(a, nullptr);
  ASSERT_EQ(a->shape, b->shape);
  double error = 0, largest = 0;
  for (std::size_t i = 0; i < a->bytes.size(); i += 4) {
    float x, y;
    std::memcpy(&x, a->bytes.data() + i, 4);
    std::memcpy(&y, b->bytes.data() + i, 4);
    error = std::max(error, std::abs(static_cast<double>(x) - static_cast<double>(y)));
    largest = std::max(largest, std::abs(static_cast<double>(y)));
  }
  EXPECT_LE(error, 2e-5 * largest);
}

TEST_F(EngineCommands, LogitsNamesWhatIsWrong) {
  const std::string output = (folder_ / "out.safetensors").string();
  const auto refusal = [&](const std::string& ids) {
    const ProgramResult run =
        Program({"logits", model_, "--ids", Write("bad.json", ids), "--output", output});
    EXPECT_EQ(run.exit_code, 2) << run.output;
    return run.output;
  };
  EXPECT_NE(refusal("[1, 320]").find("id 1 is 320, expected 0 to 319"), std::string::npos);
  EXPECT_NE(refusal("[1, \"x\"]").find("id 1 is \"x\""), std::string::npos);
  EXPECT_NE(refusal("{}").find("expected an array of token ids"), std::string::npos);
  EXPECT_FALSE(fs::exists(output));
}

TEST_F(EngineCommands, BenchPrintsEveryPhase) {
  const ProgramResult run =
      Program({"bench", "--model", model_, "--prefill", "40", "--decode", "3", "--batch", "1,4",
               "--repeat", "2", "--json", "--db", (folder_ / "bench.db").string()});
  ASSERT_EQ(run.exit_code, 0) << run.output;
  const auto json = ParseJson(run.output);
  ASSERT_TRUE(json.ok()) << run.output;
  const Json::Array& rows = json->Find("rows")->as_array();
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0].Find("phase")->as_string(), "prefill");
  EXPECT_EQ(rows[2].Find("batch")->as_int(), 4);
  for (const Json& row : rows) {
    EXPECT_GT(row.Find("tokens_per_second")->as_double(), 0);
    EXPECT_LE(row.Find("tokens_per_second_min")->as_double(),
              row.Find("tokens_per_second_max")->as_double());
    const bool decode = row.Find("phase")->as_string() == "decode";
    const Json* waits = row.Find(decode ? "inter_token_seconds" : "ttft_seconds");
    ASSERT_NE(waits, nullptr);
    EXPECT_EQ(waits->Find("n")->as_int(), decode ? 6 : 2);  // steps or prompts of two repetitions
    EXPECT_GT(waits->Find("p50")->as_double(), 0);
    EXPECT_LE(waits->Find("p50")->as_double(), waits->Find("p99")->as_double());
  }
  // One prompt's tokens over its wait are the rate.
  EXPECT_LE(40 / rows[0].Find("ttft_seconds")->Find("p99")->as_double(),
            rows[0].Find("tokens_per_second")->as_double() * 1.0001);
  EXPECT_TRUE(fs::exists(folder_ / "bench.db"));
}

/// Random weights of any shape, made by the device.
TEST_F(EngineCommands, BenchTakesTheShapeOfAConfig) {
  const std::vector<std::string> arguments = {"bench",
                                              "--shape",
                                              (fs::path(model_) / "config.json").string(),
                                              "--device",
                                              "cuda-emulated",
                                              "--prefill",
                                              "9",
                                              "--decode",
                                              "2",
                                              "--batch",
                                              "2",
                                              "--repeat",
                                              "1",
                                              "--json"};
  const ProgramResult run = Program(arguments);
  ASSERT_EQ(run.exit_code, 0) << run.output;
  const auto json = ParseJson(run.output);
  ASSERT_TRUE(json.ok()) << run.output;
  EXPECT_EQ(json->Find("identity")->as_string().find("cuda emulated"), 0U);
  EXPECT_EQ(json->Find("kernels")->as_string().find("gemm_mma, scan_"), 0U)
      << json->Find("kernels")->as_string();
  EXPECT_EQ(json->Find("rows")->as_array().size(), 2U);
  const ProgramResult refused = Program({"bench", "--shape", "no_such.json"});
  EXPECT_NE(refused.exit_code, 0);
  EXPECT_NE(refused.output.find("no_such.json"), std::string::npos) << refused.output;
}

}  // namespace
}  // namespace h1bench
