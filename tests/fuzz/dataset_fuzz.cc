// Rows of benchmark files. The first byte chooses: J for ParseJsonLines, all others for ParseCsv
// with so many columns. Errors name the file; accepted rows have what was asked for, and are the
// same after being written and read again.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "tasks/data_file.h"

namespace {

void Demand(bool condition) {
  if (!condition) std::abort();
}

std::string Quoted(const std::string& field) {
  std::string out = "\"";
  for (const char c : field) out.append(c == '"' ? 2 : 1, c);
  return out + "\"";
}

void CheckJsonLines(const std::string& text) {
  std::vector<std::size_t> lines;
  const auto rows = h1bench::tasks::ParseJsonLines(text, "fuzz", {"key"}, &lines);
  if (!rows.ok()) {
    Demand(rows.status().message().starts_with("fuzz:"));
    return;
  }
  Demand(!rows->empty() && lines.size() == rows->size());
  std::string written;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    Demand(lines[i] > (i == 0 ? 0 : lines[i - 1]));
    Demand((*rows)[i].Find("key")->is_string());
    written += h1bench::WriteJson((*rows)[i]) + "\n";
  }
  const auto again = h1bench::tasks::ParseJsonLines(written, "again", {"key"});
  Demand(again.ok());
  Demand(*again == *rows);
}

void CheckCsv(const std::string& text, std::size_t columns) {
  const auto rows = h1bench::tasks::ParseCsv(text, "fuzz", columns);
  if (!rows.ok()) {
    Demand(rows.status().message().starts_with("fuzz:"));
    return;
  }
  Demand(!rows->empty());
  std::string written;
  for (const std::vector<std::string>& row : *rows) {
    Demand(row.size() == columns);
    for (std::size_t i = 0; i < columns; ++i) written += (i == 0 ? "" : ",") + Quoted(row[i]);
    written += "\r\n";
  }
  const auto again = h1bench::tasks::ParseCsv(written, "again", columns);
  Demand(again.ok());
  Demand(*again == *rows);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] == 'J')
    CheckJsonLines(text);
  else
    CheckCsv(text, 1 + data[0] % 8);
  return 0;
}
