#pragma once

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/status.h"

/// Reading YAML with errors that say "FILE:LINE:COLUMN: key: expected ..., found ...".
namespace h1bench {

/// FILE:LINE:COLUMN and what the library says.
Status YamlError(const std::string& file, const YAML::Exception& error);

/// Parses one document: at most 1 MiB, at most 16 levels, no anchors, aliases or tags (our files
/// need none, and they are how YAML files explode). `hint` ends the message about an empty file.
Result<YAML::Node> ParseYaml(const std::string& text, const std::string& file, const char* hint);

/// `body()`, a Result, with the library's own exceptions as errors of `file`.
template <typename Body>
auto GuardYaml(const std::string& file, const Body& body) -> decltype(body()) {
  try {
    return body();
  } catch (const YAML::Exception& error) {
    return YamlError(file, error);
  }
}

/// Where a node stands, for errors: FILE:LINE:COLUMN.
std::string Place(const std::string& file, const YAML::Node& node);
/// "a list", "a mapping", "nothing" or the scalar in quotes.
std::string Found(const YAML::Node& node);
Status Expected(const std::string& file, const YAML::Node& node, const std::string& key,
                const std::string& expected);

/// Fails when `map` is no mapping, repeats a key, or has one that is not in `known` ("Did you
/// mean").
Status CheckKeys(const std::string& file, const YAML::Node& map, const std::string& what,
                 const std::vector<std::string>& known);

Result<std::string> ReadString(const std::string& file, const YAML::Node& node,
                               const std::string& key);
Result<std::int64_t> ReadInt(const std::string& file, const YAML::Node& node,
                             const std::string& key, std::int64_t low, std::int64_t high);
Result<double> ReadDouble(const std::string& file, const YAML::Node& node, const std::string& key,
                          double low, double high);

/// A path relative to the folder of `file`; a leading ~/ is the home folder.
Result<std::filesystem::path> ReadPath(const std::string& file, const YAML::Node& node,
                                       const std::string& key);

/// A list of scalars, each read by `read(item)`; a repeated item is refused.
template <typename T, typename Read>
Result<std::vector<T>> ReadList(const std::string& file, const YAML::Node& node,
                                const std::string& key, Read read) {
  if (!node.IsSequence() || node.size() == 0)
    return Expected(file, node, key, "a list with at least one item");
  std::vector<T> items;
  for (const YAML::Node& item : node) {
    H1_ASSIGN_OR_RETURN(T value, read(item));
    for (const T& known : items) {
      if (known == value) return Expected(file, item, key, "different items");
    }
    items.push_back(std::move(value));
  }
  return items;
}

}  // namespace h1bench
