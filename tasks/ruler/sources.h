#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

/// What the samples of RULER are made of: word lists, essays, questions with their paragraphs.
namespace h1bench::tasks::ruler {

/// sorted(set(f"{adjective}-{noun}")) without its six million strings.
class WordPairs {
 public:
  WordPairs() = default;
  WordPairs(std::vector<std::string> adjectives, std::vector<std::string> nouns);
  std::size_t size() const { return size_; }
  std::string At(std::size_t place) const;

 private:
  /// Adjectives whose pairs sort among each other ("old", "old-fashioned") are written out.
  struct Group {
    std::size_t start = 0;
    std::string adjective;
    std::vector<std::string> pairs;  // empty: adjective-noun for every noun
  };
  std::vector<std::string> nouns_;  // sorted, distinct
  std::vector<Group> groups_;
  std::size_t size_ = 0;
};

/// Essays as words, with the places where our splitter ends a sentence.
struct Essays {
  std::vector<std::string> words;
  std::vector<bool> ends;  // a sentence ends with this word when the next one follows
};

/// A question, its answers, and the numbers of its paragraphs in `documents`.
struct Question {
  std::string text;
  std::vector<std::string> answers;
  std::vector<std::size_t> gold;  // paragraphs that every prompt holds
  std::vector<std::size_t> more;  // paragraphs of the same article, taken before others
};

struct QuestionSet {
  std::vector<Question> questions;
  std::vector<std::string> documents;  // distinct, sorted by code point
};

/// Parts that no task asked for stay empty.
struct Sources {
  WordPairs pairs;                 // niah
  std::vector<std::string> words;  // cwe: sorted set of all lists, shuffled by Random(42)
  std::vector<std::string> large;  // cwe: upstream's large list, empty when it is not there
  Essays essays;                   // essay haystacks
  QuestionSet squad, hotpot;       // qa
  std::vector<std::string> files;  // what was read, relative to the data folder, in order
};

/// What tasks need of the sources.
struct Needs {
  bool pairs = false, words = false, essays = false, squad = false, hotpot = false;
};

/// Reads from DATA/longcontext: wonderwords/*.txt, paulgraham/ (PaulGrahamEssays.json as upstream
/// makes it, or *.txt joined in order of names), squad/dev-v2.0.json, hotpotqa/ (the official
/// hotpot_dev_distractor_v1.json or rows of the same set in either layout),
/// ruler/english_words.json when it is there.
Result<Sources> ReadSources(const std::filesystem::path& data, const Needs& needs);

/// Splits a text at white space and marks the ends of sentences.
Essays SplitEssays(std::string_view text);
/// SHA-256 over the words and where sentences end: changes with the essays and with the splitter.
std::string EssayDigest(const Essays& essays);
/// The rule of our splitter, which stands where upstream has NLTK's: a word that ends with . ! or ?
/// (closing quotes and brackets may follow) ends a sentence when the next word starts like one and
/// it is no known abbreviation or initial. Name and version stand in every report.
bool EndsSentence(std::string_view word, std::string_view next);
inline constexpr const char* kSplitterName = "h1bench sentence splitter 1";

}  // namespace h1bench::tasks::ruler
