// A variant that is loaded before a lease asks for it.
#include <gtest/gtest.h>

#include <sstream>

#include "runner/checkpoint/checkpoint.h"
#include "runner/worker/early_load.h"
#include "runner/worker/identity.h"
#include "tests/paths.h"

namespace h1bench {
namespace {

v1::Variant Toy(const std::string& precision) {
  const auto folder = testing::SourceDir() / "demo/models/toy";
  v1::Variant variant;
  variant.set_path(folder.string());
  variant.set_model_digest(Checkpoint::Open(folder).value().Digest().value());
  variant.set_precision(precision);
  variant.set_max_length(256);
  variant.set_identity(EngineIdentity("cpu").value());
  return variant;
}

TEST(EarlyLoadTest, IsForOneLeaseOfItsVariant) {
  WorkerOptions options;
  options.engine_options.memory_bytes = std::int64_t{1} << 30;
  v1::Variant asked = Toy("fp32");
  asked.set_id(7);  // whatever its number
  EarlyLoad early;
  EXPECT_FALSE(early.Take(asked).has_value());  // nothing was begun
  early.Begin(Toy("fp32"), options);
  auto loaded = early.Take(asked);
  ASSERT_TRUE(loaded.has_value());
  ASSERT_TRUE(loaded->ok()) << loaded->status().message();
  EXPECT_EQ((*loaded)->probe, LoadAndProbe(asked, options).value().probe);
  EXPECT_GT((*loaded)->seconds, 0);
  EXPECT_FALSE(early.Take(asked).has_value());  // taken

  EarlyLoad other;
  other.Begin(Toy("bf16"), options);
  EXPECT_FALSE(other.Take(asked).has_value());
}

/// Why there is no engine is told to who asks for it.
TEST(EarlyLoadTest, KeepsWhyItFailed) {
  v1::Variant changed = Toy("fp32");
  changed.set_model_digest("0000");
  const WorkerOptions options;
  EarlyLoad early;
  early.Begin(changed, options);
  const auto loaded = early.Take(changed);
  ASSERT_TRUE(loaded.has_value());
  EXPECT_EQ(loaded->status().code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(loaded->status().message().find("the files changed"), std::string::npos);
}

TEST(MeetingTest, IsALineWithAddressAndNumber) {
  std::istringstream good("127.0.0.1:4711 12\n");
  const Result<Meeting> meeting = ReadMeeting(good);
  ASSERT_TRUE(meeting.ok());
  EXPECT_EQ(meeting->coordinator, "127.0.0.1:4711");
  EXPECT_EQ(meeting->variant, 12);
  std::istringstream none("");
  EXPECT_EQ(ReadMeeting(none).status().code(), StatusCode::kUnavailable);
  for (const char* line : {"127.0.0.1:4711\n", "\n", "127.0.0.1:4711 -1\n", "a b\n"}) {
    std::istringstream bad(line);
    EXPECT_EQ(ReadMeeting(bad).status().code(), StatusCode::kInvalidArgument) << line;
  }
}

}  // namespace
}  // namespace h1bench
