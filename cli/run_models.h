#pragma once

#include <map>
#include <memory>
#include <string>

#include "harness/coordinator/model_source.h"
#include "runner/checkpoint/checkpoint.h"
#include "runner/tokenizer/tokenizer.h"

namespace h1bench::cli {

/// What planning a run needs of a folder beside ModelFacts.
struct LoadedModel {
  ModelConfig config;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::int64_t file_bytes = 0;  // of the tensors as stored
  double read_seconds = 0;      // that opening, hashing and the tokenizer took
  double worker_seconds = 0;    // of that, what every worker does again
  bool random_weights = false;  // made by `model synthesize`
};

/// Model facts from checkpoint folders. A folder is read once.
class CheckpointModels final : public ModelSource {
 public:
  /// `identity` as EngineIdentity() gives it.
  explicit CheckpointModels(std::string identity) : identity_(std::move(identity)) {}
  Result<ModelFacts> Read(const std::filesystem::path& folder) override;
  std::string Identity() override { return identity_; }
  /// Of a folder that was read.
  const LoadedModel& Loaded(const std::filesystem::path& folder) const;
  /// Of all folders.
  double read_seconds() const;
  /// The digests of the folders whose files can be told to be the same later, by FolderStamp.
  const std::map<std::string, std::string>& checked() const { return checked_; }

 private:
  std::string identity_;
  std::map<std::string, ModelFacts> known_;  // by absolute path
  std::map<std::string, LoadedModel> loaded_;
  std::map<std::string, std::string> checked_;
};

/// This machine, for people and for comparing runs: CPU, cores, memory, kernel, host name.
std::string EnvironmentJson(const std::string& sandbox_profile = "");

}  // namespace h1bench::cli
