#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/status.h"

/// Readers of the upstream benchmark files. Hostile input: errors name FILE:LINE (or row), what was
/// expected, what was found.
namespace h1bench::tasks {

/// One JSON object a line, at most 8 Mi values and keys in all. Blank lines are skipped. `keys`
/// must be there and be strings. `lines` gets the line of each row, from 1.
Result<std::vector<Json>> ReadJsonLines(const std::filesystem::path& file,
                                        const std::vector<std::string>& keys,
                                        std::vector<std::size_t>* lines = nullptr);
Result<std::vector<Json>> ParseJsonLines(std::string_view text, const std::string& name,
                                         const std::vector<std::string>& keys,
                                         std::vector<std::size_t>* lines = nullptr);
/// The same through gzip when the name ends in .gz; refuses to unpack over 256 MiB.
Result<std::string> ReadMaybeGzip(const std::filesystem::path& file);
/// RFC 4180 rows without a header: quotes doubled inside quotes, line breaks allowed there. Every
/// row has `columns` fields; 0: as many as the first.
Result<std::vector<std::vector<std::string>>> ReadCsv(const std::filesystem::path& file,
                                                      std::size_t columns);
Result<std::vector<std::vector<std::string>>> ParseCsv(const std::string& text,
                                                       const std::string& name, std::size_t columns,
                                                       std::vector<std::size_t>* lines = nullptr);

/// SHA-256 over names and bytes of files, in the order given.
class DataDigest {
 public:
  Status Add(const std::filesystem::path& root, const std::filesystem::path& relative);
  /// A file that is read already, under a name that does not depend on where it lies.
  void AddBytes(const std::string& name, std::string_view bytes);
  std::string Finish() const;

 private:
  std::string lines_;
};

}  // namespace h1bench::tasks
