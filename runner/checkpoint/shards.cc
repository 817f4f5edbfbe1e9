#include "runner/checkpoint/shards.h"

#include "base/json.h"
#include "base/text.h"
#include "runner/checkpoint/safetensors.h"

namespace h1bench {
namespace {

constexpr std::uint64_t kMaxIndexBytes = 16U << 20;
constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";

bool IsPlainShardName(const std::string& name) {
  return name.ends_with(".safetensors") && name.size() <= 255 && name[0] != '.' &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
}

Status AddFile(const std::filesystem::path& folder, const std::string& name, TensorSet& set) {
  H1_ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::Open(folder / name));
  const std::size_t index = set.files.size();
  set.files.push_back(file.mapping());
  set.file_names.push_back(name);
  for (const NamedTensor& tensor : file.tensors()) {
    const auto [other, inserted] =
        set.tensors.emplace(tensor.name, TensorSet::Place{tensor.view, index});
    if (!inserted)
      return Corrupt("{}: tensor \"{}\" is also in {}", (folder / name).string(),
                     VisibleText(tensor.name), set.file_names[other->second.file]);
  }
  return Status::Ok();
}

Status CheckIndex(const std::filesystem::path& folder, const ShardIndex& index,
                  const TensorSet& set) {
  for (const auto& [name, file] : index.tensors) {
    const auto found = set.tensors.find(name);
    if (found == set.tensors.end() || found->second.file != file)
      return Corrupt("{}: lists tensor \"{}\" in {}, which does not hold it",
                     (folder / kIndex).string(), VisibleText(name), index.files[file]);
  }
  for (const auto& [name, place] : set.tensors)
    if (!index.tensors.contains(name))
      return Corrupt("{}: tensor \"{}\" is not in {}",
                     (folder / set.file_names[place.file]).string(), VisibleText(name), kIndex);
  return Status::Ok();
}

Result<ShardIndex> ReadWeightMap(const Json& root) {
  const Json* map = root.Find("weight_map");
  if (map == nullptr || !map->is_object() || map->as_object().empty())
    return Corrupt("expected an object \"weight_map\" of tensor names and files");
  ShardIndex index;
  std::map<std::string, std::size_t> known;
  for (const auto& [tensor, file] : map->as_object()) {
    if (!file.is_string() || !IsPlainShardName(file.as_string()))
      return Corrupt(
          "tensor \"{}\": expected the name of a .safetensors file in this folder, found {}",
          VisibleText(tensor), VisibleText(WriteJson(file)));
    const auto [place, is_new] = known.emplace(file.as_string(), index.files.size());
    if (is_new) index.files.push_back(file.as_string());
    index.tensors.emplace(tensor, place->second);
  }
  return index;
}

}  // namespace

Result<ShardIndex> ParseShardIndex(const std::string& text, const std::string& name) {
  Result<Json> root = ParseJson(text, {.max_depth = 8, .allow_nonfinite = false});
  if (!root.ok()) return root.status().WithContext(name);
  Result<ShardIndex> index = ReadWeightMap(*root);
  if (!index.ok()) return index.status().WithContext(name);
  return index;
}

Result<TensorSet> OpenTensors(const std::filesystem::path& folder) {
  TensorSet set;
  std::error_code ignored;
  const bool single = std::filesystem::exists(folder / kSingle, ignored);
  const bool sharded = std::filesystem::exists(folder / kIndex, ignored);
  if (single) {  // first, as transformers does
    H1_RETURN_IF_ERROR(AddFile(folder, kSingle, set));
    return set;
  }
  if (!sharded) return NotFound("{}: holds neither {} nor {}", folder.string(), kSingle, kIndex);
  H1_ASSIGN_OR_RETURN(const std::string text, ReadFile(folder / kIndex, kMaxIndexBytes));
  H1_ASSIGN_OR_RETURN(const ShardIndex index, ParseShardIndex(text, (folder / kIndex).string()));
  for (const std::string& name : index.files)
    if (Status status = AddFile(folder, name, set); !status.ok())
      return status.code() == StatusCode::kNotFound
                 ? status.WithContext(kIndex + std::string(" names a missing shard"))
                 : status;
  H1_RETURN_IF_ERROR(CheckIndex(folder, index, set));
  return set;
}

}  // namespace h1bench
