#include "tasks/data/download.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/file.h"
#include "base/sha256.h"
#include "tests/fakes/file_server.h"

namespace h1bench::tasks {
namespace {

namespace fs = std::filesystem;
using h1bench::testing::FileServer;

class Download : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "h1bench-download-XXXXXX").string();
    root_ = mkdtemp(pattern.data());
    fs::create_directories(root_ / "served");
    for (int i = 0; i < 100'000; ++i) content_ += static_cast<char>('a' + i * 7 % 26);
    std::ofstream(root_ / "served/file") << content_;
    unsetenv("http_proxy");
  }
  void TearDown() override { fs::remove_all(root_); }

  Downloader::Item Item(const FileServer& server, const std::string& name = "file") const {
    return {server.Url() + "/" + name, root_ / "got/deep/file",
            static_cast<std::int64_t>(content_.size()), Sha256Hex(content_)};
  }
  Status Fetch(const Downloader::Item& item) { return Downloader().Fetch(item, {}); }
  void WritePart(const std::string& bytes) {
    fs::create_directories(root_ / "got/deep");
    std::ofstream(root_ / "got/deep/file.part") << bytes;
  }
  bool Arrived() const {
    return !fs::exists(root_ / "got/deep/file.part") &&
           ReadFile(root_ / "got/deep/file").value() == content_;
  }
  std::string Requests() const { return ReadFile(root_ / "served/requests.log").value(); }

  fs::path root_;
  std::string content_;
};

TEST_F(Download, WholeFile) {
  const FileServer server(root_ / "served", "ranges");
  std::int64_t seen = 0;
  const Status status = Downloader().Fetch(Item(server), [&](std::int64_t done) {
    seen = done;
    return true;
  });
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(Arrived());
  EXPECT_EQ(seen, static_cast<std::int64_t>(content_.size()));
}

TEST_F(Download, GoesOnWhereAnEarlierTryStopped) {
  const FileServer server(root_ / "served", "ranges");
  WritePart(content_.substr(0, 60'000));
  ASSERT_TRUE(Fetch(Item(server)).ok());
  EXPECT_TRUE(Arrived());
  EXPECT_EQ(Requests(), "/file bytes=60000-\n");
}

TEST_F(Download, GoesOnAfterABrokenConnection) {
  const FileServer server(root_ / "served", "drop");
  const Status status = Fetch(Item(server));
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(Arrived());
  EXPECT_EQ(Requests(), "/file -\n/file bytes=50000-\n");
}

TEST_F(Download, StartsAgainWhenTheServerKnowsNoRanges) {
  const FileServer server(root_ / "served", "whole");
  WritePart(content_.substr(0, 60'000));
  const Status status = Fetch(Item(server));
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(Arrived());
}

TEST_F(Download, TriesAgainWhenTheServerIsBusy) {
  const FileServer server(root_ / "served", "fail");
  const Status status = Fetch(Item(server));
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(Arrived());
}

TEST_F(Download, KeepsNothingOfWrongContents) {
  const FileServer server(root_ / "served", "ranges");
  std::string wrong = content_;
  wrong[500] = '!';
  std::ofstream(root_ / "served/file") << wrong;
  const Status status = Fetch(Item(server));
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("nothing was kept"), std::string::npos) << status.message();
  EXPECT_TRUE(fs::is_empty(root_ / "got/deep"));
}

TEST_F(Download, ADamagedPartIsNoticedAndTheNextTryWorks) {
  const FileServer server(root_ / "served", "ranges");
  WritePart(std::string(60'000, '?'));
  EXPECT_FALSE(Fetch(Item(server)).ok());
  ASSERT_TRUE(Fetch(Item(server)).ok());
  EXPECT_TRUE(Arrived());
}

TEST_F(Download, CutsOffAServerThatSendsTooMuch) {
  const FileServer server(root_ / "served", "endless");
  const Status status = Fetch(Item(server));
  EXPECT_NE(status.message().find("sends more than the 100000 bytes"), std::string::npos)
      << status.message();
  EXPECT_FALSE(fs::exists(root_ / "got/deep/file"));
}

TEST_F(Download, SaysWhatIsWrongAndWhatToDo) {
  const FileServer server(root_ / "served", "ranges");
  const Status missing = Fetch(Item(server, "nothing"));
  EXPECT_NE(missing.message().find("the server answers 404"), std::string::npos)
      << missing.message();
  Downloader::Item item = Item(server);
  item.url = "file:///etc/hostname";
  EXPECT_FALSE(Fetch(item).ok());
  EXPECT_NE(Fetch(item).message().find("not supported or disabled"), std::string::npos)
      << Fetch(item).message();
}

TEST_F(Download, StopsWhenAskedAndGoesOnLater) {
  const FileServer server(root_ / "served", "ranges");
  const Status status = Downloader().Fetch(Item(server), [](std::int64_t) { return false; });
  EXPECT_EQ(status.code(), StatusCode::kCancelled);
  ASSERT_TRUE(Fetch(Item(server)).ok());
  EXPECT_TRUE(Arrived());
}

}  // namespace
}  // namespace h1bench::tasks
