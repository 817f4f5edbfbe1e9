#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/status.h"
#include "kernels/model.h"

namespace h1bench {

/// The tensors of a checkpoint folder, wherever they lie.
struct TensorSet {
  struct Place {
    TensorView view;
    std::size_t file = 0;  // index into file_names
  };
  std::map<std::string, Place> tensors;
  std::vector<std::string> file_names;  // within the folder
  std::vector<std::shared_ptr<MappedFile>> files;
};

/// The index's text: shard file names in order of first mention and tensor -> index of its file.
/// File names must be plain (no path) and end in .safetensors.
struct ShardIndex {
  std::vector<std::string> files;
  std::map<std::string, std::size_t> tensors;
};
Result<ShardIndex> ParseShardIndex(const std::string& text, const std::string& name);

/// Maps model.safetensors, or the shards that model.safetensors.index.json names; index and shards
/// must agree.
Result<TensorSet> OpenTensors(const std::filesystem::path& folder);

}  // namespace h1bench
