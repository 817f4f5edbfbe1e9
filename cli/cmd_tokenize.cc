#include <chrono>
#include <cstdio>
#include <iostream>
#include <memory>

#include "base/json.h"
#include "base/text.h"
#include "cli/command.h"
#include "runner/tokenizer/tokenizer.h"

namespace h1bench::cli {
namespace {

struct Options {
  std::string model;
  std::string text;
  bool has_text = false;
  bool jsonl = false;
  bool stats = false;
};

Json::Array Ids(const std::vector<std::int32_t>& ids) { return {ids.begin(), ids.end()}; }

Json Row(const Tokenizer& tokenizer, std::string_view text) {
  const std::vector<std::int32_t> ids = tokenizer.Encode(text);
  Json row;
  row.Set("ids", Ids(ids));
  row.Set("ids_with_special", Ids(tokenizer.Encode(text, true)));
  row.Set("decoded", tokenizer.Decode(ids));
  return row;
}

Status PrintRow(const Tokenizer& tokenizer, std::string_view text) {
  const Json row = Row(tokenizer, text);
  if (tokenizer.limit_hits() > 0)
    return Unsupported(
        "a regex or replacement of the tokenizer ran into its limit on this text; the ids would be "
        "wrong");
  std::cout << WriteJson(row) << '\n';
  return Status::Ok();
}

Status PrintRows(const Tokenizer& tokenizer) {
  std::string line;
  for (std::size_t number = 1; std::getline(std::cin, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const auto place = fmt::format("standard input:{}", number);
    Result<Json> row = ParseJson(line);
    if (!row.ok()) return row.status().WithContext(place);
    const Json* text = row->Find("text");
    if (text == nullptr || !text->is_string())
      return InvalidArgument("{}: expected an object with a string \"text\"", place);
    if (Status status = PrintRow(tokenizer, text->as_string()); !status.ok())
      return status.WithContext(place);
  }
  return Status::Ok();
}

std::string ReadStandardInput() { return {std::istreambuf_iterator<char>(std::cin), {}}; }

/// Encodes the text over and over for about a second.
Status PrintStats(const Tokenizer& tokenizer, const std::string& text, double load_seconds) {
  using Seconds = std::chrono::duration<double>;
  if (text.empty()) return InvalidArgument("--stats: the text is empty");
  const auto begin = std::chrono::steady_clock::now();
  double best = 1e9;
  double total = 0;
  std::size_t tokens = 0;
  do {
    const auto start = std::chrono::steady_clock::now();
    tokens = tokenizer.Encode(text).size();
    const auto end = std::chrono::steady_clock::now();
    best = std::min(best, Seconds(end - start).count());
    total = Seconds(end - begin).count();
  } while (total < 1.0);
  Json row;
  row.Set("bytes", static_cast<std::int64_t>(text.size()));
  row.Set("tokens", static_cast<std::int64_t>(tokens));
  row.Set("vocab_size", tokenizer.vocab_size());
  row.Set("load_seconds", load_seconds);
  row.Set("encode_seconds", best);
  row.Set("megabytes_per_second", static_cast<double>(text.size()) / best / 1e6);
  std::cout << WriteJson(row) << '\n';
  return Status::Ok();
}

Status Tokenize(const Options& options) {
  if (options.jsonl && options.has_text)
    return InvalidArgument(
        "tokenize: TEXT and --jsonl exclude each other (--jsonl reads standard input)");
  if (options.jsonl && options.stats)
    return InvalidArgument("tokenize: --jsonl and --stats exclude each other");
  const auto start = std::chrono::steady_clock::now();
  H1_ASSIGN_OR_RETURN(const Tokenizer tokenizer, Tokenizer::Open(options.model));
  const std::chrono::duration<double> load = std::chrono::steady_clock::now() - start;
  if (options.jsonl) return PrintRows(tokenizer);
  const std::string text = options.has_text ? options.text : ReadStandardInput();
  if (options.stats) return PrintStats(tokenizer, text, load.count());
  return PrintRow(tokenizer, text);
}

Command::Run SetUp(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.add_option("MODEL", options->model, "A model folder or a tokenizer.json")->required();
  CLI::Option* text =
      app.add_option("TEXT", options->text, "The text; read from standard input when absent");
  app.add_flag("--jsonl", options->jsonl,
               "Standard input has one JSON object a line; its member \"text\" is encoded");
  app.add_flag("--stats", options->stats,
               "Print size, load time and encoding speed instead of ids");
  app.footer(
      "Prints one JSON object a text: ids (no special tokens added), ids_with_special, decoded.\n"
      "Examples:\n"
      "  h1bench tokenize Falcon-H1-0.5B-Base 'The capital of France is'\n"
      "  h1bench tokenize tokenizer.json --jsonl < texts.jsonl\n"
      "  h1bench tokenize tokenizer.json --stats < book.txt");
  return [options, text] {
    options->has_text = text->count() > 0;
    return Tokenize(*options);
  };
}

const Command kTokenize("tokenize", "Turn text into token ids and back", SetUp);

}  // namespace
}  // namespace h1bench::cli
