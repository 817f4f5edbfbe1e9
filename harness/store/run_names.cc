#include "harness/store/run_names.h"

#include <algorithm>

#include "base/sha256.h"

namespace h1bench {
namespace {

constexpr std::size_t kShortest = 4;
constexpr std::size_t kListed = 8;  // runs that an error names

std::string HashOf(const RunRow& run) {
  Sha256 digest;
  digest.UpdateField("h1bench run 1");
  digest.UpdateField(std::to_string(run.id)).UpdateField(run.suite_text);
  digest.UpdateField(std::to_string(run.created_unix_ms));
  std::string hash = digest.FinishHex();
  const char first = hash[0];
  hash[0] = static_cast<char>('a' + (first <= '9' ? first - '0' : first - 'a' + 10) % 6);
  return hash;
}

/// "d3ab (3), f00d (4)", the newest first.
std::string List(const std::vector<std::pair<std::int64_t, std::string>>& runs) {
  std::string out;
  for (std::size_t i = 0; i < std::min(runs.size(), kListed); ++i) {
    const auto& [number, name] = runs[runs.size() - 1 - i];
    out += fmt::format("{}{} ({})", i == 0 ? "" : ", ", name, number);
  }
  return out + (runs.size() > kListed ? ", …" : "");
}

}  // namespace

std::vector<std::string> NameRuns(const std::vector<RunRow>& runs) {
  std::vector<std::string> hashes, names;
  for (const RunRow& run : runs) {
    const std::string hash = HashOf(run);
    std::size_t length = kShortest;
    for (const std::string& earlier : hashes) {
      while (earlier.compare(0, length, hash, 0, length) == 0 && length < hash.size()) ++length;
    }
    hashes.push_back(hash);
    names.push_back(hash.substr(0, length));
  }
  return names;
}

Result<std::size_t> MatchRun(const std::vector<std::pair<std::int64_t, std::string>>& runs,
                             const std::string& which, const std::string& place) {
  if (runs.empty())
    return NotFound("{}: holds no run yet. `h1bench run SUITE.yaml --db FILE` makes one.", place);
  if (which.empty()) return runs.size() - 1;
  const bool number = which[0] >= '0' && which[0] <= '9';
  std::vector<std::pair<std::int64_t, std::string>> found;
  std::size_t last = 0;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const std::string name = number ? std::to_string(runs[i].first) : runs[i].second;
    if (name == which) return i;  // a whole name, whatever else begins with it
    if (number || name.rfind(which, 0) != 0) continue;
    found.push_back(runs[i]);
    last = i;
  }
  if (found.size() == 1) return last;
  if (found.empty())
    return NotFound("{}: there is no run {}. Its runs, newest first: {}", place, which, List(runs));
  return InvalidArgument("{}: several runs begin with {}: {}", place, which, List(found));
}

Result<NamedRun> FindRun(Store& store, const std::string& which, const std::string& database) {
  H1_ASSIGN_OR_RETURN(const std::vector<RunRow> rows, store.ListRuns());
  const std::vector<std::string> names = NameRuns(rows);
  std::vector<std::pair<std::int64_t, std::string>> runs;
  for (std::size_t i = 0; i < rows.size(); ++i) runs.emplace_back(rows[i].id, names[i]);
  H1_ASSIGN_OR_RETURN(const std::size_t place, MatchRun(runs, which, database));
  return NamedRun{rows[place], names[place]};
}

}  // namespace h1bench
