// The stamp of a folder's files, and that a worker takes a digest over only while it holds.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "runner/checkpoint/checkpoint.h"
#include "runner/checkpoint/stamp.h"
#include "runner/worker/identity.h"
#include "runner/worker/worker.h"
#include "tests/paths.h"

namespace h1bench {
namespace {

/// A copy of the toy model whose files are old enough to have a stamp.
class Stamp : public ::testing::Test {
 protected:
  Stamp() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "h1bench-stamp-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    std::filesystem::copy(testing::SourceDir() / "demo/models/toy", folder_,
                          std::filesystem::copy_options::recursive);
  }
  ~Stamp() override { std::filesystem::remove_all(folder_); }

  std::string Settled() {
    std::string stamp;
    for (int i = 0; i < 100 && (stamp = FolderStamp(folder_)).empty(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    EXPECT_FALSE(stamp.empty());
    return stamp;
  }

  std::filesystem::path folder_;
};

TEST_F(Stamp, IsTheSameUntilSomethingIsWritten) {
  EXPECT_EQ(FolderStamp(folder_), "") << "files written just now could change without a trace";
  const std::string before = Settled();
  EXPECT_EQ(FolderStamp(folder_), before);
  EXPECT_EQ(FolderStamp(folder_ / "none"), "");

  // The same bytes, size and time of change as anybody can set it: still seen.
  const std::filesystem::path config = folder_ / "config.json";
  struct stat info {};
  ASSERT_EQ(stat(config.c_str(), &info), 0);
  std::string text(static_cast<std::size_t>(info.st_size), '\0');
  std::ifstream(config, std::ios::binary).read(text.data(), info.st_size);
  std::ofstream(config, std::ios::binary | std::ios::in) << text;
  const timespec times[2] = {info.st_atim, info.st_mtim};
  ASSERT_EQ(utimensat(AT_FDCWD, config.c_str(), times, 0), 0);
  EXPECT_EQ(FolderStamp(folder_), "");
  const std::string after = Settled();
  EXPECT_NE(after, before);

  // Another file in its place.
  std::filesystem::copy_file(config, folder_ / "other");
  std::filesystem::rename(folder_ / "other", config);
  const std::string replaced = Settled();
  EXPECT_NE(replaced, after);
  std::filesystem::remove(folder_ / "tokenizer_config.json");
  EXPECT_NE(Settled(), replaced);
}

TEST_F(Stamp, AWorkerTakesADigestOverOnlyForTheSameFiles) {
  WorkerOptions options;
  options.engine = "cpu";
  options.engine_options.memory_bytes = std::int64_t{1} << 30;
  v1::Variant variant;
  variant.set_path(folder_.string());
  variant.set_precision("bf16");
  variant.set_max_length(256);
  variant.set_identity(*EngineIdentity("cpu"));
  variant.set_model_digest("planned");
  // Taken over unread: this digest is nobody's.
  options.checked[Settled()] = "planned";
  EXPECT_TRUE(LoadVariant(variant, options).ok());
  // Read again once a file was written, though nothing in it changed.
  std::ofstream(folder_ / "config.json", std::ios::app) << "\n";
  Settled();
  const auto refused = LoadVariant(variant, options);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(refused.status().message().find("the files changed"), std::string::npos);
  variant.set_model_digest(*Checkpoint::Open(folder_)->Digest());
  EXPECT_TRUE(LoadVariant(variant, options).ok());
}

}  // namespace
}  // namespace h1bench
