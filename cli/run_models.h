#pragma once

#include <map>
#include <string>

#include "harness/coordinator/model_source.h"

namespace h1bench::cli {

/// Model facts from checkpoint folders. A folder is read once.
class CheckpointModels final : public ModelSource {
 public:
  /// `identity` as EngineIdentity() gives it.
  explicit CheckpointModels(std::string identity) : identity_(std::move(identity)) {}
  Result<ModelFacts> Read(const std::filesystem::path& folder) override;
  std::string Identity() override { return identity_; }

 private:
  std::string identity_;
  std::map<std::string, ModelFacts> known_;
};

/// This machine, for people and for comparing runs: CPU, cores, memory, kernel, host name.
std::string EnvironmentJson(const std::string& sandbox_profile = "");
/// Bytes of memory that are free for use now; 0 when the system does not say.
std::int64_t FreeMemory();

}  // namespace h1bench::cli
