#include "tasks/helmet/rows.h"

#include <fstream>

#include "base/sha256.h"

namespace h1bench::tasks::helmet {

Result<const Json*> Row::Get(std::string_view key) const {
  const Json* value = json_.Find(key);
  if (value == nullptr) return Corrupt("{}: the key \"{}\" is missing", place_, key);
  return value;
}

Result<std::string> Row::Text(std::string_view key) const {
  H1_ASSIGN_OR_RETURN(const Json* value, Get(key));
  if (!value->is_string())
    return Corrupt("{}: {}: expected a string, found {}", place_, key, value->TypeName());
  return value->as_string();
}

Result<double> Row::Number(std::string_view key) const {
  H1_ASSIGN_OR_RETURN(const Json* value, Get(key));
  if (!value->is_number())
    return Corrupt("{}: {}: expected a number, found {}", place_, key, value->TypeName());
  return value->as_double();
}

Result<std::int64_t> Row::Integer(std::string_view key) const {
  H1_ASSIGN_OR_RETURN(const double number, Number(key));
  if (!json_.Find(key)->is_integer() || number < -1e15 || number > 1e15)
    return Corrupt("{}: {}: expected an integer, found {}", place_, key, number);
  return static_cast<std::int64_t>(number);
}

Result<std::vector<std::string>> Row::Texts(std::string_view key) const {
  H1_ASSIGN_OR_RETURN(const Json* value, Get(key));
  if (value->is_string()) return std::vector<std::string>{value->as_string()};
  if (!value->is_array() || value->as_array().empty())
    return Corrupt("{}: {}: expected a list of strings that is not empty, found {}", place_, key,
                   value->TypeName());
  std::vector<std::string> texts;
  for (const Json& item : value->as_array()) {
    if (!item.is_string())
      return Corrupt("{}: {}: expected strings, found {}", place_, key, item.TypeName());
    texts.push_back(item.as_string());
  }
  return texts;
}

Status Row::Each(std::string_view key, const std::function<Status(const Row&)>& take) const {
  H1_ASSIGN_OR_RETURN(const Json* value, Get(key));
  if (!value->is_array())
    return Corrupt("{}: {}: expected a list, found {}", place_, key, value->TypeName());
  std::size_t number = 0;
  for (const Json& item : value->as_array()) {
    const std::string place = fmt::format("{}: {} {}", place_, key, ++number);
    if (!item.is_object())
      return Corrupt("{}: expected an object, found {}", place, item.TypeName());
    H1_RETURN_IF_ERROR(take(Row(item, place)));
  }
  return Status::Ok();
}

Result<std::vector<std::pair<std::string, std::string>>> Row::Pairs(std::string_view key) const {
  H1_ASSIGN_OR_RETURN(const Json* value, Get(key));
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const Json& item : value->is_array() ? value->as_array() : Json::Array{Json()}) {
    const bool good = item.is_array() && item.as_array().size() == 2 &&
                      item.as_array()[0].is_string() && item.as_array()[1].is_string();
    if (!good) return Corrupt("{}: {}: expected a list of pairs of strings", place_, key);
    pairs.emplace_back(item.as_array()[0].as_string(), item.as_array()[1].as_string());
  }
  return pairs;
}

Result<std::string> ForEachRow(const std::filesystem::path& file,
                               const std::function<bool(std::int64_t row)>& wanted,
                               const std::function<Status(std::int64_t row, const Row&)>& take) {
  std::ifstream in(file, std::ios::binary);
  if (!in)
    return NotFound(
        "{}: no such file. It is part of HELMET's data (docs/tasks.md, helmet, says where it comes "
        "from); `subjects` asks for other parts only.",
        file.string());
  Sha256 digest;
  std::string line;
  std::int64_t row = 0;
  for (std::size_t number = 1; std::getline(in, line); ++number) {
    digest.Update(line);
    if (!in.eof()) digest.Update("\n");
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (wanted(row)) {
      const std::string place = fmt::format("{}:{}", file.string(), number);
      const Result<Json> json = ParseJson(line);
      if (!json.ok()) return json.status().WithContext(place);
      if (!json->is_object())
        return Corrupt("{}: expected a JSON object, found {}", place, json->TypeName());
      H1_RETURN_IF_ERROR(take(row, Row(*json, place)));
    }
    ++row;
  }
  if (in.bad()) return IoError("{}: cannot be read", file.string());
  if (row == 0) return Corrupt("{}: expected one JSON object a line, found none", file.string());
  return digest.FinishHex();
}

}  // namespace h1bench::tasks::helmet
