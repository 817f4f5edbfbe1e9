#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

/// The benchmark files this program knows, by their SHA-256: upstream's own files under upstream's
/// own names.
namespace h1bench::tasks {

/// Files that are fetched and checked together.
struct DataSet {
  std::string_view name;
  std::string_view summary;
  bool needed = false;  // a task reads it; the others are for scoring by hand and for later tasks
  std::string_view folder;    // below the data folder, ends in '/'
  std::string_view upstream;  // URL of the folder at a pinned revision, ends in '/'
  std::string_view licence;
};

struct KnownFile {
  std::string_view set;
  std::string_view path;    // below the data folder: "mmlu/test/anatomy_test.csv"
  std::int64_t size = 0;    // bytes
  std::string_view sha256;  // hex
};

std::span<const DataSet> DataSets();
/// All known files, by set and then by path.
std::span<const KnownFile> KnownFiles();
/// Null when there is none of that path.
const KnownFile* FindKnownFile(std::string_view path);
/// Files of the named sets; of the needed ones when none is named. Unknown names get a "Did you
/// mean".
Result<std::vector<KnownFile>> SelectFiles(const std::vector<std::string>& sets);

/// Where upstream keeps a file.
std::string UpstreamUrl(const KnownFile& file);

enum class FileState { kKnown, kMissing, kDifferent };
/// Hashes `folder`/`file.path`. A file of another size is different without being read.
FileState CheckFile(const std::filesystem::path& folder, const KnownFile& file);
/// Ok when the file is there and is the known one; otherwise what is wrong and how to repair it.
Status RequireKnownFile(const std::filesystem::path& folder, const KnownFile& file);

/// $XDG_DATA_HOME/h1bench/data, or ~/.local/share/h1bench/data.
std::filesystem::path DefaultDataFolder();

}  // namespace h1bench::tasks
