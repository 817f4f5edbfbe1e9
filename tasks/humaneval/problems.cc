#include "tasks/humaneval/problems.h"

#include "tasks/data_file.h"

namespace h1bench::tasks {

Result<std::vector<Document>> ReadProblems(const TaskOptions& options,
                                           const std::filesystem::path& file,
                                           const std::vector<std::string>& keys,
                                           std::string& digest) {
  H1_RETURN_IF_ERROR(DataFolder(options, file.parent_path().string()).status());
  H1_ASSIGN_OR_RETURN(std::vector<Json> rows, ReadJsonLines(options.data / file, keys));
  DataDigest of_file;
  H1_RETURN_IF_ERROR(of_file.Add(options.data, file));
  digest = of_file.Finish();
  if (options.limit >= 0 && static_cast<std::size_t>(options.limit) < rows.size())
    rows.resize(static_cast<std::size_t>(options.limit));
  std::vector<Document> documents;
  for (Json& row : rows) {
    Document document;
    document.index = static_cast<std::int64_t>(documents.size());
    document.id = row.Find("task_id")->as_string();
    document.gold = row.Find("canonical_solution")->as_string();
    document.data = std::move(row);
    documents.push_back(std::move(document));
  }
  return documents;
}

}  // namespace h1bench::tasks
