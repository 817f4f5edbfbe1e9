// Each bad file of tests/fuzz/corpus is refused with the exact words of tests/fuzz/messages.txt,
// and docs/reliability.md tells how many there are.
#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <set>

#include "base/file.h"
#include "base/text.h"
#include "harness/coordinator/messages.h"
#include "harness/coordinator/request.h"
#include "harness/coordinator/wire.h"
#include "harness/store/vfs.h"
#include "harness/suite/suite.h"
#include "runner/checkpoint/checkpoint.h"
#include "runner/checkpoint/safetensors.h"
#include "runner/checkpoint/shards.h"
#include "runner/tokenizer/tokenizer.h"
#include "tasks/data_file.h"
#include "tests/paths.h"

namespace h1bench {
namespace {

namespace fs = std::filesystem;

fs::path Corpus() { return testing::SourceDir() / "tests/fuzz/corpus"; }

/// What a reader says of these bytes; files are called "f".
using Reader = std::function<Status(const std::string& bytes, const std::string& name)>;

Status ReadSafetensors(const std::string& bytes, const std::string&) {
  std::vector<std::uint64_t> aligned((bytes.size() + 7) / 8 + 1);  // as a mapping is
  std::memcpy(aligned.data(), bytes.data(), bytes.size());
  return ParseSafetensors(std::as_bytes(std::span(aligned)).first(bytes.size()), "f").status();
}

/// The corpus may have a zero byte and a text to encode behind the file.
Status ReadTokenizer(const std::string& bytes, const std::string&) {
  return Tokenizer::Parse(bytes.substr(0, bytes.find('\0')), "f").status();
}

/// The first byte says which kind of rows, as in dataset_fuzz.cc.
Status ReadRows(const std::string& bytes, const std::string&) {
  const std::string text = bytes.substr(1);
  if (bytes[0] == 'J') return tasks::ParseJsonLines(text, "f", {"key"}).status();
  return tasks::ParseCsv(text, "f", 1 + static_cast<std::size_t>(bytes[0]) % 8).status();
}

template <typename Message>
Status ReadMessageOf(const std::string& bytes, Message& message) {
  const google::protobuf::LogSilencer quiet;
  H1_RETURN_IF_ERROR(ReadMessage(bytes, message));
  return CheckMessage(message);
}

/// As the coordinator: the message by itself, then each answer against a question of two choices.
Status ReadCall(const std::string& bytes, const std::string& name) {
  v1::RegisterRequest registration;
  v1::HeartbeatRequest beat;
  v1::DrainRequest drain;
  v1::SubmitRequest submit;
  if (name.starts_with("register")) return ReadMessageOf(bytes, registration);
  if (name.starts_with("heartbeat")) return ReadMessageOf(bytes, beat);
  if (name.starts_with("drain")) return ReadMessageOf(bytes, drain);
  H1_RETURN_IF_ERROR(ReadMessageOf(bytes, submit));
  SampleRow sample;
  sample.request_json = RequestJson({"", {" A", " B"}, {}, 0, 0, 1}, "");
  for (const v1::Response& response : submit.responses())
    H1_RETURN_IF_ERROR(CheckAnswer(response, sample));
  return Status::Ok();
}

/// The last byte says whether the pages' checksums are made right, as in database_fuzz.cc.
Status ReadDatabase(const std::string& input, const std::string&) {
  std::string bytes = input.substr(0, input.size() - 1);
  if (input.back() == 1) SealPages(bytes);
  std::string pattern = (fs::temp_directory_path() / "h1bench-hostile-XXXXXX").string();
  const fs::path folder = mkdtemp(pattern.data());
  const fs::path file = folder / "f";
  std::ofstream(file, std::ios::binary) << bytes;
  const auto read = [&]() -> Status {
    H1_ASSIGN_OR_RETURN(const auto store, Store::Open(file, Store::Mode::kReadOnly));
    H1_ASSIGN_OR_RETURN(const auto runs, store->ListRuns());
    for (const RunRow& run : runs)
      H1_RETURN_IF_ERROR(store->ForEachSample(
          run.id, [](const VariantRow&, const RunTaskRow&, const SampleRow&, const ResponseRow*,
                     const ScoreRow*) { return Status::Ok(); }));
    return Status::Ok();
  };
  const Status status = read();
  fs::remove_all(folder);
  return status.ok()
             ? status
             : Status(status.code(), ReplaceAll(status.message(), folder.string() + "/", ""));
}

const std::map<std::string, Reader>& Readers() {
  static const std::map<std::string, Reader> readers = {
      {"safetensors", ReadSafetensors},
      {"index",
       [](const std::string& b, const std::string&) { return ParseShardIndex(b, "f").status(); }},
      {"config",
       [](const std::string& b, const std::string&) { return ParseModelConfig(b, "f").status(); }},
      {"tokenizer", ReadTokenizer},
      {"suite",
       [](const std::string& b, const std::string&) { return ParseSuite(b, "f").status(); }},
      {"dataset", ReadRows},
      {"message", ReadCall},
      {"database", ReadDatabase},
  };
  return readers;
}

/// FORMAT/FILE to the message, "" for files that are read.
std::map<std::string, std::string> Expected() {
  std::map<std::string, std::string> expected;
  const std::string text = ReadFile(testing::SourceDir() / "tests/fuzz/messages.txt").value();
  for (const std::string_view line : SplitLines(text)) {
    if (line.empty() || line[0] == '#') continue;
    const std::size_t end = line.find(' ');
    expected[std::string(line.substr(0, end))] = line.substr(std::min(end, line.size() - 1) + 1);
  }
  return expected;
}

TEST(HostileFiles, EachHasItsMessage) {
  std::map<std::string, std::string> expected = Expected();
  for (const auto& [format, reader] : Readers()) {
    std::set<fs::path> files;
    for (const auto& entry : fs::directory_iterator(Corpus() / format)) files.insert(entry.path());
    for (const fs::path& file : files) {
      const std::string name = file.filename().string(), key = format + "/" + name;
      const Status status = reader(ReadFile(file).value(), name);
      const std::string found = status.ok() ? "" : VisibleText(status.message());
      EXPECT_TRUE(expected.contains(key)) << "a line for messages.txt:\n" << key << " " << found;
      EXPECT_EQ(found, expected[key]) << key;
      expected.erase(key);
    }
  }
  for (const auto& [key, message] : expected) ADD_FAILURE() << key << ": there is no such file";
}

TEST(HostileFiles, TheManualCountsThem) {
  const std::string manual = ReadFile(testing::SourceDir() / "docs/reliability.md").value();
  std::map<std::string, int> bad;
  int all = 0;
  for (const auto& [key, message] : Expected()) {
    if (message.empty()) continue;
    ++bad[key.substr(0, key.find('/'))];
    ++all;
  }
  EXPECT_GE(all, 60);
  ASSERT_EQ(bad.size(), Readers().size());
  for (const auto& [format, count] : bad) {
    EXPECT_GE(count, 10) << format;
    const std::string row = fmt::format("| `{}` | {} |", format, count);
    EXPECT_NE(manual.find(row), std::string::npos) << "docs/reliability.md lacks: " << row;
  }
}

}  // namespace
}  // namespace h1bench
