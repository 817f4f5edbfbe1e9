#include <gtest/gtest.h>

#include <fstream>

#include "base/json.h"
#include "tests/cli/run_program.h"
#include "tests/fakes/file_server.h"
#include "tests/paths.h"

namespace h1bench {
namespace {

namespace fs = std::filesystem;
using testing::RunProgram;

TEST(DataCommand, FetchFromAMirrorThenCheck) {
  H1_NEED_SHARED();
  std::string pattern = (fs::temp_directory_path() / "h1bench-data-XXXXXX").string();
  const fs::path root = mkdtemp(pattern.data());
  const fs::path served = root / "served";
  for (const char* name :
       {"humaneval/HumanEval.jsonl.gz", "gsm8k/test.jsonl", "gsm8k/train.jsonl"}) {
    fs::create_directories((served / name).parent_path());
    fs::copy_file(testing::SharedDir() / "data" / name, served / name);
  }
  const testing::FileServer server(served, "drop");
  const std::string data = (root / "data").string();
  const auto fetch = [&](const std::string& set) {
    return RunProgram(
        {testing::BinaryPath(), "data", "fetch", set, "--data", data, "--mirror", server.Url()});
  };
  const auto check = [&] {
    return RunProgram(
        {testing::BinaryPath(), "data", "check", "gsm8k", "humaneval", "--data", data});
  };
  EXPECT_EQ(check().exit_code, 2);
  EXPECT_EQ(fetch("humaneval").exit_code, 0);
  const auto gsm8k = fetch("gsm8k");
  EXPECT_EQ(gsm8k.exit_code, 0) << gsm8k.output;
  EXPECT_EQ(check().exit_code, 0) << check().output;
  EXPECT_NE(fetch("gsm8k").output.find("everything is there"), std::string::npos);

  std::ofstream(fs::path(data) / "gsm8k/test.jsonl", std::ios::app)
      << "{}\n";  // a changed file is seen and kept
  EXPECT_NE(check().output.find("gsm8k/test.jsonl: not upstream's file"), std::string::npos)
      << check().output;
  EXPECT_EQ(fetch("gsm8k").exit_code, 2);
  const auto json = ParseJson(
      RunProgram({testing::BinaryPath(), "data", "check", "humaneval", "--json", "--data", data})
          .output);
  ASSERT_TRUE(json.ok());
  EXPECT_TRUE(json->Find("sets")->as_array()[0].Find("ok")->as_bool());
  fs::remove_all(root);
}

TEST(DataCommand, BadArguments) {
  EXPECT_NE(
      RunProgram({testing::BinaryPath(), "data", "check", "mmlv"}).output.find("did you mean mmlu"),
      std::string::npos);
  EXPECT_NE(RunProgram({testing::BinaryPath(), "data", "fetch", "--mirror", "/tmp"})
                .output.find("expected http://"),
            std::string::npos);
}

}  // namespace
}  // namespace h1bench
