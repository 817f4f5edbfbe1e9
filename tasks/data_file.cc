#include "tasks/data_file.h"

#include <zlib.h>

#include <algorithm>
#include <new>

#include "base/file.h"
#include "base/sha256.h"
#include "base/text.h"

namespace h1bench::tasks {
namespace {

constexpr std::size_t kMaxUnpacked = 256U << 20;
// Of a table's rows and of all its fields. An empty field is one byte in the file and thirty here.
constexpr std::size_t kMaxColumns = 1000, kMaxFields = std::size_t{4} << 20;
// Of all lines of JSON; each line has the limits of ParseJson. A value of two bytes takes forty
// here.
constexpr std::size_t kMaxValues = std::size_t{8} << 20;

/// Values and keys, as ParseJson counts them. Its depth limit bounds the stack.
std::size_t CountValues(const Json& value) {
  std::size_t count = 1;
  if (value.is_array())
    for (const Json& item : value.as_array()) count += CountValues(item);
  if (value.is_object())
    for (const auto& [key, item] : value.as_object()) count += 1 + CountValues(item);
  return count;
}

struct Inflater {
  z_stream stream = {};
  Inflater() {
    if (inflateInit2(&stream, 15 + 16) == Z_MEM_ERROR) throw std::bad_alloc();
  }
  ~Inflater() { inflateEnd(&stream); }
};

Result<std::string> Gunzip(const std::string& bytes, const std::string& name) {
  Inflater inflater;
  inflater.stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  inflater.stream.avail_in = static_cast<uInt>(bytes.size());
  std::string out;
  char block[1 << 16];
  int code = Z_OK;
  while (code == Z_OK) {
    inflater.stream.next_out = reinterpret_cast<Bytef*>(block);
    inflater.stream.avail_out = sizeof(block);
    code = inflate(&inflater.stream, Z_NO_FLUSH);
    out.append(block, sizeof(block) - inflater.stream.avail_out);
    if (out.size() > kMaxUnpacked)
      return ResourceExhausted("{}: unpacks to more than 256 MiB", name);
    if (code == Z_OK && inflater.stream.avail_in == 0 && inflater.stream.avail_out != 0) break;
    // A file may be several gzip members in a row; stopping at the first would lose documents.
    if (code == Z_STREAM_END && inflater.stream.avail_in > 0) code = inflateReset(&inflater.stream);
  }
  if (code == Z_MEM_ERROR) throw std::bad_alloc();
  if (code != Z_STREAM_END)
    return Corrupt(
        "{}: damaged or cut gzip data at byte {}. `h1bench data fetch` brings a good copy.", name,
        bytes.size() - inflater.stream.avail_in);
  return out;
}

/// One field of a CSV row; `place` moves behind it, `line` counts line breaks.
Result<std::string> CsvField(const std::string& text, const std::string& name, std::size_t& place,
                             std::size_t& line) {
  std::string field;
  if (place < text.size() && text[place] == '"') {
    const std::size_t start = line;
    for (++place;; ++place) {
      if (place >= text.size()) return Corrupt("{}:{}: a quoted field never ends", name, start);
      if (text[place] == '"') {
        if (place + 1 < text.size() && text[place + 1] == '"') {
          ++place;
        } else {
          break;
        }
      }
      if (text[place] == '\n') ++line;
      field += text[place];
    }
    ++place;
    // Python's csv keeps what follows a closing quote.
    while (place < text.size() && text[place] != ',' && text[place] != '\n' && text[place] != '\r')
      field += text[place++];
    return field;
  }
  while (place < text.size() && text[place] != ',' && text[place] != '\n' && text[place] != '\r')
    field += text[place++];
  return field;
}

}  // namespace

Result<std::string> ReadMaybeGzip(const std::filesystem::path& file) {
  H1_ASSIGN_OR_RETURN(std::string bytes, ReadFile(file));
  if (file.extension() != ".gz") return bytes;
  return Gunzip(bytes, file.string());
}

Result<std::vector<Json>> ReadJsonLines(const std::filesystem::path& file,
                                        const std::vector<std::string>& keys,
                                        std::vector<std::size_t>* lines) {
  H1_ASSIGN_OR_RETURN(const std::string text, ReadMaybeGzip(file));
  return ParseJsonLines(text, file.string(), keys, lines);
}

Result<std::vector<Json>> ParseJsonLines(std::string_view text, const std::string& name,
                                         const std::vector<std::string>& keys,
                                         std::vector<std::size_t>* lines) {
  std::vector<Json> rows;
  std::size_t number = 0, values = 0;
  while (!text.empty()) {  // without a list of lines: a line may be one byte
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    auto row = ParseJson(line);
    const std::string place = fmt::format("{}:{}", name, number);
    if (!row.ok()) return row.status().WithContext(place);
    if (!row->is_object())
      return Corrupt("{}: expected a JSON object, found {}", place, row->TypeName());
    values += CountValues(*row);
    if (values > kMaxValues)
      return Corrupt("{}: expected at most {} values and keys in all lines", place, kMaxValues);
    for (const std::string& key : keys) {
      const Json* value = row->Find(key);
      if (value == nullptr) return Corrupt("{}: the key \"{}\" is missing", place, key);
      if (!value->is_string())
        return Corrupt("{}: {}: expected a string, found {}", place, key, value->TypeName());
    }
    rows.push_back(std::move(*row));
    if (lines != nullptr) lines->push_back(number);
  }
  if (rows.empty()) return Corrupt("{}: expected one JSON object a line, found none", name);
  return rows;
}

Result<std::vector<std::vector<std::string>>> ParseCsv(const std::string& text,
                                                       const std::string& name, std::size_t columns,
                                                       std::vector<std::size_t>* lines) {
  if (!IsValidUtf8(text)) return Corrupt("{}: expected UTF-8 text", name);
  std::vector<std::vector<std::string>> rows;
  std::size_t place = 0, line = 1, fields = 0;
  while (place < text.size()) {
    const std::size_t start = line;
    std::vector<std::string> row;
    while (true) {
      H1_ASSIGN_OR_RETURN(std::string field, CsvField(text, name, place, line));
      row.push_back(std::move(field));
      if (row.size() > kMaxColumns)
        return Corrupt("{}:{}: expected at most {} fields", name, start, kMaxColumns);
      if (place >= text.size() || text[place] != ',') break;
      ++place;
    }
    if (place < text.size() && text[place] == '\r') ++place;
    if (place < text.size() && text[place] == '\n') {
      ++place;
      ++line;
    }
    if (row.size() == 1 && row[0].empty()) continue;  // a blank line
    fields += row.size();
    if (fields > kMaxFields)
      return Corrupt("{}:{}: expected at most {} fields in all rows", name, start, kMaxFields);
    if (columns == 0) columns = row.size();
    if (row.size() != columns)
      return Corrupt("{}:{}: expected {} fields, found {}", name, start, columns, row.size());
    rows.push_back(std::move(row));
    if (lines != nullptr) lines->push_back(start);
  }
  if (rows.empty() && columns == 0) return Corrupt("{}: expected rows, found none", name);
  if (rows.empty()) return Corrupt("{}: expected rows of {} fields, found none", name, columns);
  return rows;
}

Result<std::vector<std::vector<std::string>>> ReadCsv(const std::filesystem::path& file,
                                                      std::size_t columns) {
  H1_ASSIGN_OR_RETURN(const std::string text, ReadFile(file));
  return ParseCsv(text, file.string(), columns);
}

Status DataDigest::Add(const std::filesystem::path& root, const std::filesystem::path& relative) {
  H1_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(root / relative));
  AddBytes(relative.generic_string(), bytes);
  return Status::Ok();
}

void DataDigest::AddBytes(const std::string& name, std::string_view bytes) {
  lines_ += Sha256Hex(bytes) + "  " + name + "\n";
}

std::string DataDigest::Finish() const { return Sha256Hex(lines_); }

}  // namespace h1bench::tasks
