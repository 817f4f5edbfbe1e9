#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/json.h"
#include "tests/cli/run_program.h"
#include "tests/paths.h"

namespace h1bench {
namespace {

namespace fs = std::filesystem;
using testing::ProgramResult;
using testing::RunProgram;

ProgramResult Model(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {testing::BinaryPath().string(), "model"});
  return RunProgram(arguments);
}

// Figures of the 0.5B row: bytes per token and per sequence as published analyses have them.
TEST(ModelCommand, InfoOfAReleasedShape) {
  const ProgramResult run = Model({"info", "--shape", "0.5B", "--memory", "8GB", "--json"});
  ASSERT_EQ(run.exit_code, 0) << run.output;
  const auto json = ParseJson(run.output);
  ASSERT_TRUE(json.ok()) << json.status().message();
  EXPECT_EQ(json->Find("parameters")->as_int(), 521'411'104);
  EXPECT_EQ(json->Find("kv_bytes_per_token")->as_int(), 18'432);
  EXPECT_EQ(json->Find("ssm_state_bytes_per_sequence")->as_int(), 27LL << 20);
  EXPECT_EQ(json->Find("conv_tail_bytes_per_sequence")->as_int(), 756LL << 10);
  const Json& precisions = *json->Find("memory")->Find("precisions");
  ASSERT_EQ(precisions.as_array().size(), 2U);
  std::int64_t before = INT64_MAX;  // longer sequences: fewer of them
  for (const Json& fit : precisions.as_array()[0].Find("fits")->as_array()) {
    EXPECT_GT(fit.Find("sequences")->as_int(), 0);
    EXPECT_LT(fit.Find("sequences")->as_int(), before);
    before = fit.Find("sequences")->as_int();
  }
  EXPECT_NE(Model({"info", "--shape", "34B", "--memory", "8GB"}).output.find(" -"),
            std::string::npos);
}

TEST(ModelCommand, BadArgumentsSayWhatIsExpected) {
  const auto says = [](const ProgramResult& run, const char* part) {
    EXPECT_NE(run.exit_code, 0);
    EXPECT_NE(run.output.find(part), std::string::npos) << run.output;
  };
  says(Model({"info"}), "expected a checkpoint folder or --shape");
  says(Model({"info", "--shape", "1.5B-deep"}), "did you mean 1.5B-Deep?");
  says(Model({"info", "--shape", "3B", "--memory", "lots"}),
       "--memory: expected a size such as 8GB");
  says(Model({"info", "/nowhere"}), "/nowhere: no such folder");
  // The source tree is never empty; a machine's /tmp may be, and would be filled with 15 GB.
  says(Model({"synthesize", "--shape", "7B", testing::SourceDir().string()}),
       "not an empty folder");
  says(Model({"synthesize", "--shape", "7B", "--tokenizer", "/nowhere.json", "/tmp/never"}),
       "/nowhere.json");
}

// The digest pins the generator: the same seed must give the same model for ever.
TEST(SlowModelCommand, SynthesizeThenInfo) {
  std::string pattern = (fs::temp_directory_path() / "h1bench-model-XXXXXX").string();
  const fs::path root = mkdtemp(pattern.data());
  const std::string out = (root / "tiny").string();
  const ProgramResult made = Model({"synthesize", "--shape", "Tiny-90M", "--seed", "1", out});
  ASSERT_EQ(made.exit_code, 0) << made.output;
  const ProgramResult run = Model({"info", out, "--digest", "--json"});
  ASSERT_EQ(run.exit_code, 0) << run.output;
  const auto json = ParseJson(run.output);
  EXPECT_EQ(json->Find("parameters")->as_int(), 91'131'072);
  EXPECT_EQ(json->Find("weight_bytes")->as_int(), 2 * 91'131'072);
  EXPECT_EQ(json->Find("digest")->as_string(),
            "dce80bc21342b2f5c2409635065737579446d1ceec894e8849abee24f43bdd47");
  fs::remove_all(root);
}

}  // namespace
}  // namespace h1bench
