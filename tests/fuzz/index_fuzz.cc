// ParseShardIndex on arbitrary text: no accepted shard name leaves the folder, every tensor has a
// shard.
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "runner/checkpoint/shards.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto demand = [](bool condition) {
    if (!condition) std::abort();
  };
  const auto index =
      h1bench::ParseShardIndex(std::string(reinterpret_cast<const char*>(data), size), "fuzz");
  if (!index.ok()) {
    demand(index.status().message().starts_with("fuzz: "));
    return 0;
  }
  std::vector<bool> used(index->files.size());
  for (const auto& [tensor, file] : index->tensors) {
    demand(file < index->files.size());
    used[file] = true;
  }
  for (std::size_t i = 0; i < used.size(); ++i) {
    demand(used[i]);
    const std::filesystem::path path = std::filesystem::path("/models/m") / index->files[i];
    demand(path.lexically_normal().parent_path() == "/models/m");
    demand(index->files[i].find('\0') == std::string::npos);
  }
  return 0;
}
