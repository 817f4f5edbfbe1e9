#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "tasks/custom/task_file.h"

/// Data files as rows with named fields, whatever their format.
namespace h1bench::tasks::custom {

/// Cheap to pass by reference only.
class Table {
 public:
  /// JSON lines, or CSV whose first row names the columns (every value is a text then).
  static Result<Table> Read(const DataFile& file);

  const std::vector<Json>& rows() const { return rows_; }
  /// FILE:LINE of a row.
  std::string Place(std::size_t row) const;
  /// A field of a row. The error says whether only this row lacks it or all do ("Did you mean").
  Result<Json> Field(std::size_t row, const FieldPath& path, const Origin& origin) const;
  /// A field that must be a text or a number.
  Result<std::string> Text(std::size_t row, const FieldPath& path, const Origin& origin) const;
  Result<std::string> Render(std::size_t row, const Template& text, const Origin& origin) const;
  /// An error about a row: "FILE:LINE: MESSAGE (KEY at PLACE)".
  Status Wrong(std::size_t row, const Status& status, const Origin& origin) const;

 private:
  Status Missing(std::size_t row, const FieldPath& path, const Origin& origin) const;

  std::string name_;
  std::vector<Json> rows_;
  std::vector<std::size_t> lines_;
};

}  // namespace h1bench::tasks::custom
