#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/status.h"

/// HELMET's files are JSON lines of up to gigabytes: read a row at a time, never as a whole.
namespace h1bench::tasks::helmet {

/// A row's members, with errors that name FILE:LINE.
class Row {
 public:
  Row(const Json& json, const std::string& place) : json_(json), place_(place) {}
  const std::string& place() const { return place_; }
  bool Has(std::string_view key) const { return json_.Find(key) != nullptr; }
  Result<std::string> Text(std::string_view key) const;
  Result<double> Number(std::string_view key) const;
  Result<std::int64_t> Integer(std::string_view key) const;
  /// A list of texts that is not empty, or one text.
  Result<std::vector<std::string>> Texts(std::string_view key) const;
  /// A list of objects, each with its own place for errors.
  Status Each(std::string_view key, const std::function<Status(const Row&)>& take) const;
  /// A list of lists of two texts.
  Result<std::vector<std::pair<std::string, std::string>>> Pairs(std::string_view key) const;

 private:
  Result<const Json*> Get(std::string_view key) const;
  const Json& json_;
  std::string place_;
};

/// Calls `take` with every row and its number from 0; blank lines are skipped. Gives the file's
/// SHA-256. `wanted` false: the row is not parsed.
Result<std::string> ForEachRow(const std::filesystem::path& file,
                               const std::function<bool(std::int64_t row)>& wanted,
                               const std::function<Status(std::int64_t row, const Row&)>& take);

}  // namespace h1bench::tasks::helmet
