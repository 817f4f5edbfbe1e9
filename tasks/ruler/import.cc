#include "tasks/ruler/import.h"

#include "base/json.h"
#include "base/text.h"
#include "tasks/data_file.h"

namespace h1bench::tasks::ruler {
namespace {

namespace fs = std::filesystem;

Result<Sample> ReadSample(const Json& row) {
  Sample sample;
  sample.input = row.Find("input")->as_string();
  if (const Json* prefix = row.Find("answer_prefix"); prefix != nullptr) {
    if (!prefix->is_string())
      return Corrupt("answer_prefix: expected a string, found {}", prefix->TypeName());
    sample.prefix = prefix->as_string();
  }
  const Json* outputs = row.Find("outputs");
  if (outputs == nullptr || !outputs->is_array() || outputs->as_array().empty())
    return Corrupt("outputs: expected a list of answers");
  for (const Json& output : outputs->as_array()) {
    if (!output.is_string() || output.as_string().empty())
      return Corrupt("outputs: expected strings that are not empty");
    sample.outputs.push_back(output.as_string());
  }
  if (const Json* length = row.Find("length"); length != nullptr && length->is_integer())
    sample.length = length->as_int();
  return sample;
}

}  // namespace

Result<std::vector<Sample>> ImportSamples(const fs::path& folder, const Job& job, fs::path& file) {
  const fs::path at_length = folder / std::to_string(job.length);
  const std::string name = job.spec->name;
  const std::vector<fs::path> places = {at_length / (name + ".jsonl"),
                                        at_length / name / "validation.jsonl",
                                        at_length / "data" / name / "validation.jsonl"};
  file.clear();
  std::error_code error;
  for (const fs::path& place : places) {
    if (file.empty() && fs::is_regular_file(place, error)) file = place;
  }
  if (file.empty()) {
    return NotFound(
        "{}: no such file (nor {}/validation.jsonl beside it, nor below data/). Leave the task or "
        "the length out with subjects and lengths, or generate it with upstream's prepare.py.",
        places[0].string(), name);
  }
  H1_ASSIGN_OR_RETURN(const std::vector<Json> rows, ReadJsonLines(file, {"input"}));
  if (rows.empty() || static_cast<std::int64_t>(rows.size()) < job.samples) {
    return InvalidArgument("{}: {} rows, {} samples were asked for. Ask for fewer.", file.string(),
                           rows.size(), job.samples);
  }
  std::vector<Sample> samples;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (job.samples >= 0 && static_cast<std::int64_t>(i) == job.samples) break;
    Result<Sample> sample = ReadSample(rows[i]);
    if (!sample.ok())
      return sample.status().WithContext(fmt::format("{}: row {}", file.string(), i + 1));
    samples.push_back(std::move(*sample));
  }
  return samples;
}

std::string PythonJson(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (std::size_t i = 0; i < texts.size(); ++i) {
    out += i > 0 ? ", " : "";
    const std::string quoted = QuoteJson(texts[i]);
    for (std::size_t place = 0; place < quoted.size();) {
      const std::uint32_t c = NextCodePoint(quoted, place);
      if (c < 0x80) {
        out += static_cast<char>(c);
      } else if (c < 0x10000) {
        out += fmt::format("\\u{:04x}", c);
      } else {  // UTF-16's two halves
        out += fmt::format("\\u{:04x}\\u{:04x}", 0xd800 + ((c - 0x10000) >> 10),
                           0xdc00 + ((c - 0x10000) & 0x3ff));
      }
    }
  }
  return out + "]";
}

}  // namespace h1bench::tasks::ruler
