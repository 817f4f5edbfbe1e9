#include "harness/coordinator/run_list.h"

namespace h1bench {

v1::RunProgress DescribeRun(const NamedRun& run) {
  v1::RunProgress out;
  out.set_run(run.row.id);
  out.set_id(run.name);
  out.set_name(run.row.name);
  out.set_state(run.row.state);
  out.set_elapsed_seconds(run.row.wall_seconds);
  return out;
}

Result<v1::ListRunsResponse> DescribeRuns(Store& store) {
  H1_ASSIGN_OR_RETURN(const std::vector<RunRow> rows, store.ListRuns());
  const std::vector<std::string> names = NameRuns(rows);
  v1::ListRunsResponse out;
  for (std::size_t i = 0; i < rows.size(); ++i) *out.add_runs() = DescribeRun({rows[i], names[i]});
  return out;
}

}  // namespace h1bench
