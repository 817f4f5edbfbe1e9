#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "kernels/model.h"

/// Random models of a given shape: for speed measurements and tests, never for quality. A value is
/// a function of seed, tensor name and element index alone, so that files, memory, threads and
/// shards cannot change it.
namespace h1bench {

/// A model in memory that owns its bf16 bytes. Movable; the views stay valid.
struct SyntheticModel {
  ModelShape shape;
  ModelWeights weights;
  std::vector<std::unique_ptr<std::byte[]>> storage;
};
Result<SyntheticModel> SynthesizeInMemory(const ModelShape& shape, std::uint64_t seed);
/// The same numbers, with matrices as formulas (TensorView::generated): nothing big is made here.
/// For backends on a GPU.
Result<SyntheticModel> SynthesizeForDevice(const ModelShape& shape, std::uint64_t seed);

/// Bytes done and bytes in all; false stops the work (kCancelled).
using SynthesizeProgress = std::function<bool(std::int64_t done, std::int64_t total)>;

struct SynthesizeOptions {
  ModelShape shape;
  std::uint64_t seed = 0;
  std::filesystem::path folder;                    // must not exist or be empty
  std::optional<std::filesystem::path> tokenizer;  // copied to tokenizer.json
  std::int64_t max_shard_bytes = 5'000'000'000;
  SynthesizeProgress progress;  // may be empty
};
/// Writes a checkpoint in Hugging Face's format: config.json, generation_config.json, one
/// model.safetensors or shards with an index, all bf16. Asks the disk for room first.
Status SynthesizeCheckpoint(const SynthesizeOptions& options);

/// "_name_or_path" of such a config.json: tells that the weights are random.
inline constexpr const char* kSyntheticName = "h1bench model synthesize";

/// config.json of a shape in the released spelling. ParseModelConfig reads the same shape back.
std::string MakeConfigJson(const ModelShape& shape);

}  // namespace h1bench
