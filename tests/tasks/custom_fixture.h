#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "tasks/task.h"

namespace h1bench::tasks {

/// A folder with a task file and its data that goes away with the test.
class CustomFixture : public ::testing::Test {
 protected:
  void SetUp() override { MoveElsewhere(); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void MoveElsewhere() {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
    std::string pattern =
        (std::filesystem::temp_directory_path() / "h1bench-custom-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }
  Result<std::unique_ptr<Task>> TryLoad(const std::string& yaml,
                                        const TaskOptions& options = {}) const {
    Write("t.yaml", yaml);
    return LoadTask((folder_ / "t.yaml").string(), options);
  }
  std::unique_ptr<Task> Load(const std::string& yaml, const TaskOptions& options = {}) const {
    auto task = TryLoad(yaml, options);
    EXPECT_TRUE(task.ok()) << task.status().message();
    return task.ok() ? std::move(*task) : nullptr;
  }

  std::filesystem::path folder_;
};

}  // namespace h1bench::tasks
