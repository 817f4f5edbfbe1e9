#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tasks/task.h"

/// HELMET's judge-free data sets (Yen et al., arXiv 2410.02694): what its configurations and
/// loaders say of each. Rows are drawn as upstream's scripts draw them, with seed 42.
namespace h1bench::tasks::helmet {

/// The lengths of upstream's configurations, in tokens of the model.
inline constexpr std::array<std::int64_t, 5> kLengths = {8192, 16384, 32768, 65536, 131072};
inline constexpr std::uint64_t kSeed = 42;

enum class Metric {
  kSubstring,  // a gold answer stands in the output or in its parsed line
  kRecall,     // share of the answers that stand in the output
  kExact,      // the parsed line is the answer
  kNdcg,       // NDCG@10 of the ranking
  kRougeL,     // the best ROUGE-L F1 over answers, of output and parsed line
  kChoice,     // the letter, or the letter with its option somewhere in the output
};

/// One question.
struct Item {
  std::int64_t row = 0;         // of upstream's file, from 0
  std::string id;               // upstream's; the variants of one question share it
  std::string question, demos;  // fields of the template, as are `more`
  std::vector<std::pair<std::string, std::string>> more;
  std::vector<std::string> answers;      // each is right
  std::map<std::string, int> relevance;  // kNdcg: of every document
  std::function<std::string()> context;  // what fills the length; made when it is asked for
};

struct Dataset;

/// What a reader is told, and what it leaves.
struct Reading {
  const Dataset& dataset;
  std::size_t place = 0;         // of the length in kLengths
  std::int64_t samples = 0;      // HELMET's max_test_samples
  std::filesystem::path folder;  // HELMET's data folder
  const TaskOptions& options;
  std::vector<std::pair<std::string, std::string>> files;  // read: name, SHA-256
  bool own_cut = false;  // whole books, cut with the model's tokenizer
};
using Reader = Result<std::vector<Item>> (*)(Reading&);

struct Dataset {
  const char* name;  // as upstream's tables have it
  const char* category;
  Reader read;
  std::array<const char*, 2> files;   // with {} for the size: questions, demonstrations
  std::array<std::int64_t, 5> sizes;  // by length: pairs, passages, examples, tokens
  Metric metric;
  std::int64_t new_tokens;
  bool stop_at_line;
  std::int64_t samples;  // questions (kSubstring over depths: each with all its variants)
  const char* user;      // the template of the user's turn
  const char* started;   // what the answer starts with
  const char* joint;     // between them, without a chat template
  bool chat;             // asked through a chat template where there is one
};

const std::vector<Dataset>& Datasets();

/// data/json_kv and data/ruler, or drawn here (own_recall.cc); data/kilt; data/msmarco; the rows of
/// the hub's data sets for in-context learning; InfiniteBench's files.
Result<std::vector<Item>> ReadJsonKv(Reading& reading);
Result<std::vector<Item>> ReadRuler(Reading& reading);
Result<std::vector<Item>> DrawJsonKv(Reading& reading);
Result<std::vector<Item>> DrawRuler(Reading& reading);
Result<std::vector<Item>> ReadQuestions(Reading& reading);
Result<std::vector<Item>> ReadRerank(Reading& reading);
Result<std::vector<Item>> ReadExamples(Reading& reading);
Result<std::vector<Item>> ReadBooks(Reading& reading);

}  // namespace h1bench::tasks::helmet
