#include <limits>

#include "base/json.h"
#include "harness/store/sqlite_store.h"

namespace h1bench {

std::string EncodeDoubles(const std::vector<double>& values) {
  Json array{Json::Array{}};
  for (const double value : values) array.Push(value);
  return WriteJson(array);
}

std::string EncodeIds(const std::vector<std::int32_t>& ids) {
  Json array{Json::Array{}};
  for (const std::int32_t id : ids) array.Push(static_cast<std::int64_t>(id));
  return WriteJson(array);
}

std::string EncodeFlags(const std::vector<bool>& flags) {
  std::string text;
  for (const bool flag : flags) text += flag ? '1' : '0';
  return text;
}

namespace {

Result<std::vector<double>> DecodeNumbers(const std::string& text, const char* column) {
  const Result<Json> json = ParseJson(text);
  if (!json.ok()) return json.status().WithContext(fmt::format("responses.{}", column));
  if (!json->is_array())
    return Corrupt("responses.{}: expected an array, found {}", column, json->TypeName());
  std::vector<double> numbers;
  for (const Json& item : json->as_array()) {
    // A log-likelihood of minus infinity is written as null.
    if (!item.is_number() && !item.is_null())
      return Corrupt("responses.{}: expected numbers, found {}", column, item.TypeName());
    numbers.push_back(item.is_null() ? -std::numeric_limits<double>::infinity() : item.as_double());
  }
  return numbers;
}

Result<std::vector<std::int32_t>> DecodeIds(const std::string& text, const char* column) {
  H1_ASSIGN_OR_RETURN(const std::vector<double> numbers, DecodeNumbers(text, column));
  std::vector<std::int32_t> ids;
  for (const double number : numbers) {
    if (!(number >= 0 && number < 2147483648.0))
      return Corrupt("responses.{}: not a token id", column);
    ids.push_back(static_cast<std::int32_t>(number));
  }
  return ids;
}

}  // namespace

SampleRow SampleFrom(const Statement& statement, int first) {
  SampleRow row;
  row.id = statement.Int(first);
  row.variant_id = statement.Int(first + 1);
  row.run_task_id = statement.Int(first + 2);
  row.subset = statement.Text(first + 3);
  row.document_id = statement.Text(first + 4);
  row.gold = statement.Text(first + 5);
  row.index = statement.Int(first + 6);
  row.repeat = statement.Int(first + 7);
  row.request_key = statement.Text(first + 8);
  row.prompt = statement.Text(first + 9);
  row.prompt_sha256 = statement.Text(first + 10);
  row.request_json = statement.Text(first + 11);
  row.cost_tokens = statement.Int(first + 12);
  row.attempts = statement.Int(first + 14);
  row.losses = statement.Int(first + 13);
  return row;
}

namespace {

Result<ResponseRow> ReadResponse(const Statement& statement, int first) {
  ResponseRow row;
  row.key = statement.Text(first);
  row.text = statement.Text(first + 1);
  H1_ASSIGN_OR_RETURN(row.loglikelihoods,
                      DecodeNumbers(statement.Text(first + 2), "loglikelihoods"));
  for (const char flag : statement.Text(first + 3)) row.is_greedy.push_back(flag == '1');
  row.prompt_tokens = statement.Int(first + 4);
  row.generated_tokens = statement.Int(first + 5);
  row.truncated_tokens = statement.Int(first + 6);
  row.reused_tokens = statement.Int(first + 7);
  H1_ASSIGN_OR_RETURN(row.first_ids, DecodeIds(statement.Text(first + 8), "first_ids"));
  H1_ASSIGN_OR_RETURN(row.last_ids, DecodeIds(statement.Text(first + 9), "last_ids"));
  row.finish = statement.Text(first + 10);
  row.error = statement.Text(first + 11);
  row.queue_seconds = statement.Double(first + 12);
  row.prefill_seconds = statement.Double(first + 13);
  row.decode_seconds = statement.Double(first + 14);
  row.worker = statement.Text(first + 15);
  H1_ASSIGN_OR_RETURN(row.inter_token_us, DecodeIds(statement.Text(first + 16), "inter_token_us"));
  return row;
}

}  // namespace

Result<ResponseRow> ResponseFrom(const Statement& statement, int first) {
  Result<ResponseRow> row = ReadResponse(statement, first);
  if (row.ok()) return row;
  return Corrupt("{}: the answer with key {}: {}", statement.file(),
                 QuoteJson(statement.Text(first)), row.status().message());
}

}  // namespace h1bench
