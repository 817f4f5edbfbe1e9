#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/sha256.h"
#include "harness/coordinator/coordinator.h"
#include "harness/coordinator/model_source.h"
#include "harness/coordinator/request.h"
#include "harness/store/store.h"
#include "harness/store/vfs.h"

namespace h1bench::testing {

class NoModels final : public ModelSource {
 public:
  Result<ModelFacts> Read(const std::filesystem::path& folder) override {
    return NotFound("{}: no model", folder.string());
  }
  std::string Identity() override { return "engine"; }
};

/// A store with one run of `count` samples of one subject: prompts "prompt 0", "prompt 1", ...
class StoredRun {
 public:
  explicit StoredRun(int count) {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "h1bench-coordinator-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    auto opened = Store::Open(folder_ / "run.db", Store::Mode::kReadWrite);
    EXPECT_TRUE(opened.ok()) << opened.status().message();
    store_ = std::move(opened).value();
    std::vector<VariantRow> variants(1);
    variants[0].model_name = "m";
    variants[0].model_digest = "d";
    variants[0].precision = "fp32";
    std::vector<RunTaskRow> tasks(1);
    tasks[0].name = tasks[0].task = "mmlu";
    tasks[0].describe_json = "{\"primary\":\"acc\"}";
    RunRow run;
    run.name = "suite";
    const auto id = store_->CreateRun(run, variants, tasks, [&](const auto& add) -> Status {
      for (int i = 0; i < count; ++i)
        H1_RETURN_IF_ERROR(add(Sample(variants[0].id, tasks[0].id, i)));
      return Status::Ok();
    });
    EXPECT_TRUE(id.ok()) << id.status().message();
    run_ = *id;
  }
  ~StoredRun() {
    store_.reset();
    std::filesystem::remove_all(folder_);
  }
  StoredRun(const StoredRun&) = delete;

  static SampleRow Sample(std::int64_t variant, std::int64_t task, int index) {
    SampleRow row;
    row.variant_id = variant;
    row.run_task_id = task;
    row.index = index;
    row.prompt = "prompt " + std::to_string(index);
    row.prompt_sha256 = Sha256Hex(row.prompt);
    row.request_key = "key" + std::to_string(index);
    row.request_json = RequestJson({row.prompt, {" A", " B"}, {}, 0, 0, 1}, "");
    row.cost_tokens = 10;
    return row;
  }

  Store& store() { return *store_; }
  std::int64_t run() const { return run_; }
  const std::filesystem::path& folder() const { return folder_; }

 private:
  std::filesystem::path folder_;
  std::unique_ptr<Store> store_;
  std::int64_t run_ = 0;
};

/// As another program would, but with our page checksums, so that only the content is wrong.
inline void Sql(const std::filesystem::path& file, const std::string& sql) {
  ASSERT_EQ(RegisterVfs(), SQLITE_OK);
  sqlite3* handle = nullptr;
  ASSERT_EQ(
      sqlite3_open_v2(file.c_str(), &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, kVfsName),
      SQLITE_OK);
  char* message = nullptr;
  EXPECT_EQ(sqlite3_exec(handle, sql.c_str(), nullptr, nullptr, &message), SQLITE_OK) << message;
  sqlite3_free(message);
  sqlite3_close(handle);
}

/// One answer that depends on the request alone.
inline v1::Response Answer(const v1::Request& request) {
  v1::Response response;
  response.set_key(request.key());
  response.set_sample_id(request.sample_id());
  response.add_loglikelihoods(-static_cast<double>(request.context().size()));
  response.add_loglikelihoods(-1);
  response.add_is_greedy(true);
  response.add_is_greedy(false);
  return response;
}

}  // namespace h1bench::testing
