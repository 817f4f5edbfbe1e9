#include "tasks/custom/table.h"

#include <algorithm>

#include "base/text.h"
#include "tasks/data_file.h"

namespace h1bench::tasks::custom {
namespace {

Result<std::vector<Json>> ReadNamedCsv(const std::filesystem::path& file,
                                       std::vector<std::size_t>& lines) {
  H1_ASSIGN_OR_RETURN(std::string text, ReadMaybeGzip(file));
  if (text.starts_with("\xef\xbb\xbf")) text.erase(0, 3);  // spreadsheets put it there
  std::vector<std::size_t> all_lines;
  H1_ASSIGN_OR_RETURN(const auto rows, ParseCsv(text, file.string(), 0, &all_lines));
  const std::vector<std::string>& names = rows[0];
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i].empty() || std::count(names.begin(), names.end(), names[i]) > 1)
      return Corrupt("{}:{}: expected a first row of different names, found \"{}\" in column {}",
                     file.string(), all_lines[0], VisibleText(names[i]), i + 1);
  }
  std::vector<Json> out;
  for (std::size_t row = 1; row < rows.size(); ++row) {
    Json::Object fields;
    for (std::size_t i = 0; i < names.size(); ++i) fields.emplace_back(names[i], rows[row][i]);
    out.emplace_back(std::move(fields));
    lines.push_back(all_lines[row]);
  }
  if (out.empty())
    return Corrupt("{}: expected rows below the one with the names, found none", file.string());
  return out;
}

}  // namespace

Result<Table> Table::Read(const DataFile& file) {
  std::error_code error;
  if (!std::filesystem::exists(file.path, error))
    return NotFound("{}: {}: there is no file {}", file.origin.place, file.origin.key,
                    file.path.string());
  Table table;
  table.name_ = file.path.string();
  auto rows = file.name.ends_with(".csv") ? ReadNamedCsv(file.path, table.lines_)
                                          : ReadJsonLines(file.path, {}, &table.lines_);
  if (!rows.ok()) return rows.status();
  table.rows_ = std::move(*rows);
  return table;
}

std::string Table::Place(std::size_t row) const { return fmt::format("{}:{}", name_, lines_[row]); }

Status Table::Wrong(std::size_t row, const Status& status, const Origin& origin) const {
  return Corrupt("{}: {} ({} at {})", Place(row), status.message(), origin.key, origin.place);
}

Status Table::Missing(std::size_t row, const FieldPath& path, const Origin& origin) const {
  const bool anywhere =
      std::any_of(rows_.begin(), rows_.end(), [&](const Json& one) { return path.In(one); });
  if (anywhere)
    return Wrong(row, Corrupt("the field \"{}\" is missing", VisibleText(path.text())), origin);
  std::vector<std::string> names;
  for (const auto& [name, value] : rows_[0].as_object()) names.push_back(VisibleText(name));
  const std::string near = NearestWord(path.text(), names);
  return InvalidArgument("{}: {}: no row of {} has the field \"{}\".{} The first row has: {}",
                         origin.place, origin.key, name_, VisibleText(path.text()),
                         near.empty() ? "" : fmt::format(" Did you mean \"{}\"?", near),
                         fmt::join(names, " "));
}

Result<Json> Table::Field(std::size_t row, const FieldPath& path, const Origin& origin) const {
  std::optional<Json> value = path.In(rows_[row]);
  if (!value) return Missing(row, path, origin);
  return std::move(*value);
}

Result<std::string> Table::Text(std::size_t row, const FieldPath& path,
                                const Origin& origin) const {
  H1_ASSIGN_OR_RETURN(const Json value, Field(row, path, origin));
  Result<std::string> text = FieldText(path, value);
  if (!text.ok()) return Wrong(row, text.status(), origin);
  return text;
}

Result<std::string> Table::Render(std::size_t row, const Template& text,
                                  const Origin& origin) const {
  for (const FieldPath& path : text.Fields()) H1_RETURN_IF_ERROR(Field(row, path, origin).status());
  Result<std::string> out = text.Render(rows_[row]);
  if (!out.ok()) return Wrong(row, out.status(), origin);
  return out;
}

}  // namespace h1bench::tasks::custom
