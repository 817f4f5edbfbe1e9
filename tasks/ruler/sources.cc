#include "tasks/ruler/sources.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "tasks/fewshot/python_random.h"

namespace h1bench::tasks::ruler {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kShuffleSeed = 42;

void SortDistinct(std::vector<std::string>& words) {
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
}

class Reader {
 public:
  Reader(const fs::path& data, Sources& out) : root_(data / "longcontext"), out_(out) {}

  bool Exists(const std::string& name) const {
    std::error_code error;
    return fs::is_regular_file(root_ / name, error);
  }

  Result<std::string> Read(const std::string& name) {
    if (!Exists(name)) {
      return NotFound(
          "{}: not there. docs/tasks.md lists RULER's sources, and `h1bench data fetch wonderwords "
          "essays` brings some. Put it there, or leave out the tasks that need it.",
          (root_ / name).string());
    }
    out_.files.push_back("longcontext/" + name);
    return ReadFile(root_ / name);
  }

  Result<Json> ReadJson(const std::string& name) {
    H1_ASSIGN_OR_RETURN(const std::string text, Read(name));
    Result<Json> json = ParseJson(text);
    if (!json.ok()) return json.status().WithContext((root_ / name).string());
    return json;
  }

  Status Wrong(const std::string& name, const std::string& expected) const {
    return Corrupt("{}: expected {}", (root_ / name).string(), expected);
  }

  /// One word a line; trailing blanks are dropped, as wonderwords does.
  Result<std::vector<std::string>> Words(const std::string& name) {
    H1_ASSIGN_OR_RETURN(const std::string text, Read("wonderwords/" + name));
    std::vector<std::string> words;
    for (std::string_view line : SplitLines(text)) {
      line = line.substr(0, line.find_last_not_of(" \t\r") + 1);
      if (!line.empty()) words.emplace_back(line);
    }
    if (words.empty()) return Wrong("wonderwords/" + name, "a word a line, found none");
    return words;
  }

  const fs::path& root() const { return root_; }

 private:
  fs::path root_;
  Sources& out_;
};

Status ReadWords(Reader& reader, const Needs& needs, Sources& out) {
  H1_ASSIGN_OR_RETURN(std::vector<std::string> nouns, reader.Words("nounlist.txt"));
  H1_ASSIGN_OR_RETURN(std::vector<std::string> adjectives, reader.Words("adjectivelist.txt"));
  if (needs.words) {
    H1_ASSIGN_OR_RETURN(out.words, reader.Words("verblist.txt"));
    out.words.insert(out.words.end(), nouns.begin(), nouns.end());
    out.words.insert(out.words.end(), adjectives.begin(), adjectives.end());
    SortDistinct(out.words);
    PythonRandom(kShuffleSeed).Shuffle(out.words);
    if (const std::string large = "ruler/english_words.json"; reader.Exists(large)) {
      H1_ASSIGN_OR_RETURN(const Json json, reader.ReadJson(large));
      if (!json.is_object()) return reader.Wrong(large, "an object of words");
      for (const auto& [key, word] : json.as_object()) {
        if (!word.is_string()) return reader.Wrong(large, "a string at " + QuoteJson(key));
        out.large.push_back(word.as_string());
      }
    }
  }
  if (needs.pairs) out.pairs = WordPairs(std::move(adjectives), std::move(nouns));
  return Status::Ok();
}

Status ReadEssays(Reader& reader, Sources& out) {
  std::string text;
  if (const std::string json_name = "paulgraham/PaulGrahamEssays.json"; reader.Exists(json_name)) {
    H1_ASSIGN_OR_RETURN(const Json json, reader.ReadJson(json_name));
    const Json* member = json.Find("text");
    if (member == nullptr || !member->is_string())
      return reader.Wrong(json_name, "an object with the string \"text\"");
    text = member->as_string();
  } else {
    std::vector<std::string> names;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(reader.root() / "paulgraham", error)) {
      const std::string name = entry.path().filename().string();
      if (entry.path().extension() == ".txt" && name.rfind("LICENSE", 0) != 0)
        names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) {
      H1_ASSIGN_OR_RETURN(const std::string essay, reader.Read("paulgraham/" + name));
      text += essay + "\n";
    }
  }
  out.essays = SplitEssays(ReplaceInvalidUtf8(text));
  if (out.essays.words.size() >= 1000) return Status::Ok();
  return NotFound(
      "{}: expected Paul Graham's essays (*.txt, or PaulGrahamEssays.json as RULER's download "
      "script makes it), found {} words. Put them there, or leave out the essay tasks.",
      (reader.root() / "paulgraham").string(), out.essays.words.size());
}

/// Paragraphs as they are met; numbers of the sorted set afterwards.
class Documents {
 public:
  std::size_t Add(std::string text) {
    const auto [place, is_new] = numbers_.emplace(std::move(text), met_.size());
    if (is_new) met_.push_back(&place->first);
    return place->second;
  }
  void Finish(QuestionSet& set) {
    std::vector<std::size_t> rank(met_.size());
    for (const auto& [text, number] : numbers_) {
      rank[number] = set.documents.size();
      set.documents.push_back(text);
    }
    for (Question& question : set.questions) {
      for (std::size_t& number : question.gold) number = rank[number];
      for (std::size_t& number : question.more) number = rank[number];
    }
  }

 private:
  std::map<std::string, std::size_t> numbers_;
  std::vector<const std::string*> met_;
};

bool GetString(const Json& json, const char* key, std::string& out) {
  const Json* member = json.Find(key);
  if (member == nullptr || !member->is_string()) return false;
  out = member->as_string();
  return true;
}

const Json::Array* GetArray(const Json& json, const char* key) {
  const Json* member = json.Find(key);
  return member != nullptr && member->is_array() ? &member->as_array() : nullptr;
}

/// One question of SQuAD; false when it is malformed.
bool AddSquadQuestion(const Json& json, std::size_t document, const std::vector<std::size_t>& all,
                      QuestionSet& set) {
  Question question;
  const Json* impossible = json.Find("is_impossible");
  if (impossible != nullptr && impossible->is_bool() && impossible->as_bool()) return true;
  const Json::Array* answers = GetArray(json, "answers");
  if (answers == nullptr || answers->empty() || !GetString(json, "question", question.text))
    return false;
  for (const Json& answer : *answers) {
    if (!GetString(answer, "text", question.answers.emplace_back())) return false;
  }
  question.gold = {document};
  for (const std::size_t other : all) {
    if (other != document) question.more.push_back(other);
  }
  set.questions.push_back(std::move(question));
  return true;
}

Status ReadSquad(Reader& reader, QuestionSet& set) {
  const std::string name = "squad/dev-v2.0.json";
  H1_ASSIGN_OR_RETURN(const Json json, reader.ReadJson(name));
  const Json::Array* articles = GetArray(json, "data");
  if (articles == nullptr) return reader.Wrong(name, "SQuAD 2.0's \"data\"");
  Documents documents;
  for (std::size_t a = 0; a < articles->size(); ++a) {
    const Json::Array* paragraphs = GetArray((*articles)[a], "paragraphs");
    if (paragraphs == nullptr)
      return reader.Wrong(name, fmt::format("paragraphs in article {}", a));
    std::vector<std::size_t> numbers;
    for (const Json& paragraph : *paragraphs) {
      std::string text;
      if (!GetString(paragraph, "context", text))
        return reader.Wrong(name, fmt::format("a context in every paragraph of article {}", a));
      numbers.push_back(documents.Add(std::move(text)));
    }
    for (std::size_t p = 0; p < paragraphs->size(); ++p) {
      const Json::Array* questions = GetArray((*paragraphs)[p], "qas");
      bool ok = questions != nullptr;
      for (std::size_t q = 0; ok && q < questions->size(); ++q)
        ok = AddSquadQuestion((*questions)[q], numbers[p], numbers, set);
      if (!ok)
        return reader.Wrong(
            name, fmt::format("questions with answers in article {}, paragraph {}", a, p));
    }
  }
  documents.Finish(set);
  return Status::Ok();
}

std::optional<std::string> Joined(const std::string& title, const Json& sentences) {
  if (!sentences.is_array()) return std::nullopt;
  std::string text = title + "\n";
  for (const Json& sentence : sentences.as_array()) {
    if (!sentence.is_string()) return std::nullopt;
    text += sentence.as_string();
  }
  return text;
}

/// Paragraphs of one row: [[title, [sentence..]]..] as published, or {"title": [..], "sentences":
/// [[..]..]} as Hugging Face has it.
std::optional<std::vector<std::string>> HotpotParagraphs(const Json& context) {
  std::vector<std::string> texts;
  if (context.is_array()) {
    for (const Json& pair : context.as_array()) {
      if (!pair.is_array() || pair.as_array().size() != 2 || !pair.as_array()[0].is_string())
        return std::nullopt;
      const auto text = Joined(pair.as_array()[0].as_string(), pair.as_array()[1]);
      if (!text) return std::nullopt;
      texts.push_back(*text);
    }
    return texts;
  }
  const Json::Array* titles = GetArray(context, "title");
  const Json::Array* sentences = GetArray(context, "sentences");
  if (titles == nullptr || sentences == nullptr || titles->size() != sentences->size())
    return std::nullopt;
  for (std::size_t i = 0; i < titles->size(); ++i) {
    if (!(*titles)[i].is_string()) return std::nullopt;
    const auto text = Joined((*titles)[i].as_string(), (*sentences)[i]);
    if (!text) return std::nullopt;
    texts.push_back(*text);
  }
  return texts;
}

Status ReadHotpot(Reader& reader, QuestionSet& set) {
  std::string name = "hotpotqa/hotpot_dev_distractor_v1.json";
  if (const std::string part = "hotpotqa/hotpot_dev_distractor_first100.json";
      !reader.Exists(name) && reader.Exists(part))
    name = part;
  H1_ASSIGN_OR_RETURN(const Json json, reader.ReadJson(name));
  if (!json.is_array()) return reader.Wrong(name, "a list of questions");
  Documents documents;
  for (std::size_t row = 0; row < json.as_array().size(); ++row) {
    const Json& item = json.as_array()[row];
    Question question;
    question.answers.emplace_back();
    const Json* context = item.Find("context");
    const auto texts = context != nullptr ? HotpotParagraphs(*context) : std::nullopt;
    if (!texts || texts->empty() || !GetString(item, "question", question.text) ||
        !GetString(item, "answer", question.answers[0])) {
      return reader.Wrong(name, fmt::format("question, answer and context in row {}", row));
    }
    for (const std::string& text : *texts) question.gold.push_back(documents.Add(text));
    set.questions.push_back(std::move(question));
  }
  documents.Finish(set);
  return Status::Ok();
}

}  // namespace

WordPairs::WordPairs(std::vector<std::string> adjectives, std::vector<std::string> nouns)
    : nouns_(std::move(nouns)) {
  SortDistinct(nouns_);
  for (std::string& adjective : adjectives) adjective += '-';
  SortDistinct(adjectives);
  // Sorted by "adjective-": what starts with the same "adjective-" is next to it, and two that do
  // not start with each other never mix.
  for (std::size_t i = 0; i < adjectives.size();) {
    std::size_t end = i + 1;
    while (end < adjectives.size() && adjectives[end].rfind(adjectives[i], 0) == 0) ++end;
    Group group;
    group.start = size_;
    group.adjective = adjectives[i];
    if (end - i > 1) {
      for (std::size_t a = i; a < end; ++a) {
        for (const std::string& noun : nouns_) group.pairs.push_back(adjectives[a] + noun);
      }
      SortDistinct(group.pairs);
    }
    size_ += group.pairs.empty() ? nouns_.size() : group.pairs.size();
    groups_.push_back(std::move(group));
    i = end;
  }
}

std::string WordPairs::At(std::size_t place) const {
  const auto after =
      std::upper_bound(groups_.begin(), groups_.end(), place,
                       [](std::size_t wanted, const Group& group) { return wanted < group.start; });
  const Group& group = *std::prev(after);
  const std::size_t inside = place - group.start;
  return group.pairs.empty() ? group.adjective + nouns_[inside] : group.pairs[inside];
}

Result<Sources> ReadSources(const fs::path& data, const Needs& needs) {
  Sources sources;
  Reader reader(data, sources);
  if (needs.pairs || needs.words) H1_RETURN_IF_ERROR(ReadWords(reader, needs, sources));
  if (needs.essays) H1_RETURN_IF_ERROR(ReadEssays(reader, sources));
  if (needs.squad) H1_RETURN_IF_ERROR(ReadSquad(reader, sources.squad));
  if (needs.hotpot) H1_RETURN_IF_ERROR(ReadHotpot(reader, sources.hotpot));
  return sources;
}

}  // namespace h1bench::tasks::ruler
