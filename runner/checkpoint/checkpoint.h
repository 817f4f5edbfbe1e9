#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/status.h"
#include "kernels/model.h"
#include "runner/checkpoint/safetensors.h"

namespace h1bench {

/// config.json and generation_config.json, resolved.
struct ModelConfig {
  ModelShape shape;
  std::optional<std::int32_t> bos_id, pad_id;
  std::vector<std::int32_t> eos_ids;  // generation_config.json first, else config.json
};

/// Reads and checks config.json's text; `name` (the file) is put into errors.
Result<ModelConfig> ParseModelConfig(const std::string& text, const std::string& name);

/// Lets generation_config.json's EOS ids replace the config's.
Status ApplyGenerationConfig(const std::string& text, const std::string& name, ModelConfig& config);

/// A Hugging Face checkpoint folder, mapped. Opening checks every tensor's name, type and shape
/// against the config and reads no weight bytes. Never writes into the folder. Thread-safe after
/// Open.
class Checkpoint {
 public:
  static Result<Checkpoint> Open(const std::filesystem::path& folder);

  const std::filesystem::path& folder() const { return folder_; }
  const ModelConfig& config() const { return config_; }
  const ModelWeights& weights() const { return weights_; }
  /// Every tensor of the files, by name.
  const std::vector<NamedTensor>& tensors() const { return tensors_; }
  /// Chat template text of tokenizer_config.json or chat_template.jinja; absent for base models.
  const std::optional<std::string>& chat_template() const { return chat_template_; }
  /// Ok when the template renders as Falcon-H1's ChatML form (chat_template.h); otherwise why chat
  /// runs are refused.
  Status CheckChat() const;
  std::int64_t parameters() const { return parameters_; }
  std::int64_t weight_bytes() const { return weight_bytes_; }
  /// SHA-256 (hex) of what the model computes and how it reads text, equal however the tensors are
  /// cut into files; reads everything, so seconds for big models. Fed as length-prefixed fields:
  /// "h1bench checkpoint 1"; name and bytes of each of config.json, generation_config.json,
  /// tokenizer.json, tokenizer_config.json, chat_template.jinja that exists; then by name every
  /// tensor's name, dtype, shape ("[2, 3]") and SHA-256 of its bytes (hex).
  Result<std::string> Digest() const;

 private:
  std::filesystem::path folder_;
  ModelConfig config_;
  ModelWeights weights_;
  std::vector<std::shared_ptr<MappedFile>> files_;
  std::vector<NamedTensor> tensors_;
  std::optional<std::string> chat_template_;
  std::string bos_token_;
  std::int64_t parameters_ = 0;
  std::int64_t weight_bytes_ = 0;
};

}  // namespace h1bench
