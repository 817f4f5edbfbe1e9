#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "base/status.h"
#include "tasks/task.h"

namespace h1bench {

/// What planning must know about a checkpoint.
struct ModelFacts {
  std::string digest;       // SHA-256 of config, tokenizer and tensors
  std::string config_json;  // config.json as read
  std::int64_t parameters = 0;
  std::int64_t max_length = 0;                       // max_position_embeddings, tokens
  std::map<std::string, std::int64_t> weight_bytes;  // by precision
  tasks::TokenCounter count_tokens;                  // thread-safe
  tasks::TokenCutter cut_tokens;                     // thread-safe
  /// Why the model cannot be asked through its chat template; ok: it can.
  Status chat = Unsupported("no chat template is known for this model");
};

/// Where model facts come from. The harness knows no engine: the command line implements this with
/// runner/, tests with constants.
class ModelSource {
 public:
  virtual ~ModelSource() = default;
  /// Reads and checks the folder (whole: the digest covers every byte).
  virtual Result<ModelFacts> Read(const std::filesystem::path& folder) = 0;
  /// Engine build, backend and architecture: what two machines must share for equal bits. Part of
  /// every request key.
  virtual std::string Identity() = 0;
};

}  // namespace h1bench
