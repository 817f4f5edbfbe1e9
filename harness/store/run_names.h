#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "harness/store/store.h"

/// Runs have names that people can say: four characters or a few more, as "d3ab". A name is derived
/// from what a run is (its number, its suite, when it was begun) and from the runs before it, so it
/// never changes. It begins with a letter: what begins with a digit is a run's number.
namespace h1bench {

/// The names of a database's runs, which come ordered by number (Store::ListRuns). Each is the
/// shortest beginning, of at least four characters, of a hash that no run before it shares.
std::vector<std::string> NameRuns(const std::vector<RunRow>& runs);

/// The place of the run that `which` means: a name, a beginning that only one name has, or a
/// number;
/// "" is the last. `place` (a database, a coordinator) is named in errors: kNotFound lists the runs
/// there are, kInvalidArgument the names that begin so.
Result<std::size_t> MatchRun(const std::vector<std::pair<std::int64_t, std::string>>& runs,
                             const std::string& which, const std::string& place);

struct NamedRun {
  RunRow row;
  std::string name;
};
/// The run of a database that `which` means, as MatchRun().
Result<NamedRun> FindRun(Store& store, const std::string& which, const std::string& database);

}  // namespace h1bench
