#include "tasks/scoring/porter.h"

#include <array>
#include <string_view>
#include <utility>

namespace h1bench::tasks {
namespace {

using Text = std::string_view;

bool IsConsonant(Text word, std::size_t place) {
  switch (word[place]) {
    case 'a':
    case 'e':
    case 'i':
    case 'o':
    case 'u':
      return false;
    case 'y':
      return place == 0 || !IsConsonant(word, place - 1);
    default:
      return true;
  }
}

/// Porter's m: how often a consonant follows a vowel.
std::size_t Measure(Text stem) {
  std::size_t count = 0;
  for (std::size_t i = 1; i < stem.size(); ++i)
    count += IsConsonant(stem, i) && !IsConsonant(stem, i - 1) ? 1 : 0;
  return count;
}

bool HasVowel(Text stem) {
  for (std::size_t i = 0; i < stem.size(); ++i) {
    if (!IsConsonant(stem, i)) return true;
  }
  return false;
}

bool EndsDouble(Text word) {
  return word.size() >= 2 && word[word.size() - 1] == word[word.size() - 2] &&
         IsConsonant(word, word.size() - 1);
}

/// Consonant, vowel, consonant other than w, x, y; NLTK also takes a vowel and a consonant alone.
bool EndsCvc(Text word) {
  const std::size_t n = word.size();
  if (n == 2) return !IsConsonant(word, 0) && IsConsonant(word, 1);
  return n >= 3 && IsConsonant(word, n - 3) && !IsConsonant(word, n - 2) &&
         IsConsonant(word, n - 1) && Text("wxy").find(word[n - 1]) == Text::npos;
}

Text Without(Text word, Text suffix) { return word.substr(0, word.size() - suffix.size()); }

struct Rule {
  Text suffix, replacement;
};

/// The first rule whose suffix fits decides: it is applied when what is left has a measure above
/// `measure`, else nothing is.
template <std::size_t N>
std::string Apply(const std::array<Rule, N>& rules, std::size_t measure, const std::string& word) {
  for (const Rule& rule : rules) {
    if (!word.ends_with(rule.suffix)) continue;
    const Text stem = Without(word, rule.suffix);
    return Measure(stem) > measure ? std::string(stem).append(rule.replacement) : word;
  }
  return word;
}

std::string Plural(const std::string& word) {  // step 1a
  if (word.ends_with("sses")) return std::string(Without(word, "es"));
  if (word.ends_with("ies")) return std::string(Without(word, word.size() == 4 ? "s" : "es"));
  return word.ends_with("ss") || !word.ends_with("s") ? word : std::string(Without(word, "s"));
}

std::string PastAndGerund(const std::string& word) {  // step 1b
  if (word.ends_with("ied")) return std::string(Without(word, word.size() == 4 ? "d" : "ed"));
  if (word.ends_with("eed"))
    return Measure(Without(word, "eed")) > 0 ? std::string(Without(word, "d")) : word;
  Text stem;
  if (word.ends_with("ed") && HasVowel(Without(word, "ed"))) {
    stem = Without(word, "ed");
  } else if (word.ends_with("ing") && HasVowel(Without(word, "ing"))) {
    stem = Without(word, "ing");
  } else {
    return word;
  }
  if (stem.ends_with("at") || stem.ends_with("bl") || stem.ends_with("iz"))
    return std::string(stem) + "e";
  if (EndsDouble(stem))
    return std::string(Text("lsz").find(stem.back()) == Text::npos ? Without(stem, "x") : stem);
  return std::string(stem) + (Measure(stem) == 1 && EndsCvc(stem) ? "e" : "");
}

std::string FinalY(const std::string& word) {  // step 1c; NLTK: after a consonant that is not first
  if (!word.ends_with("y")) return word;
  const Text stem = Without(word, "y");
  return stem.size() > 1 && IsConsonant(stem, stem.size() - 1) ? std::string(stem) + "i" : word;
}

std::string DoubleSuffix(const std::string& word) {  // step 2
  constexpr std::array<Rule, 21> kRules = {
      {{"ational", "ate"}, {"tional", "tion"}, {"enci", "ence"},   {"anci", "ance"},
       {"izer", "ize"},    {"bli", "ble"},     {"alli", "al"},     {"entli", "ent"},
       {"eli", "e"},       {"ousli", "ous"},   {"ization", "ize"}, {"ation", "ate"},
       {"ator", "ate"},    {"alism", "al"},    {"iveness", "ive"}, {"fulness", "ful"},
       {"ousness", "ous"}, {"aliti", "al"},    {"iviti", "ive"},   {"biliti", "ble"},
       {"fulli", "ful"}}};
  // NLTK goes on behind -alli (rationally), and its -logi keeps the o in what it measures.
  if (word.ends_with("alli") && Measure(Without(word, "alli")) > 0)
    return DoubleSuffix(std::string(Without(word, "li")));
  if (word.ends_with("logi"))
    return Measure(Without(word, "ogi")) > 0 ? std::string(Without(word, "i")) : word;
  return Apply(kRules, 0, word);
}

std::string SingleSuffix(const std::string& word) {  // step 3
  constexpr std::array<Rule, 7> kRules = {{{"icate", "ic"},
                                           {"ative", ""},
                                           {"alize", "al"},
                                           {"iciti", "ic"},
                                           {"ical", "ic"},
                                           {"ful", ""},
                                           {"ness", ""}}};
  return Apply(kRules, 0, word);
}

std::string LastSuffix(const std::string& word) {  // step 4
  constexpr std::array<Rule, 11> kBefore = {{{"al", ""},
                                             {"ance", ""},
                                             {"ence", ""},
                                             {"er", ""},
                                             {"ic", ""},
                                             {"able", ""},
                                             {"ible", ""},
                                             {"ant", ""},
                                             {"ement", ""},
                                             {"ment", ""},
                                             {"ent", ""}}};
  constexpr std::array<Rule, 7> kBehind = {
      {{"ou", ""}, {"ism", ""}, {"ate", ""}, {"iti", ""}, {"ous", ""}, {"ive", ""}, {"ize", ""}}};
  if (word.ends_with("ion")) {
    const Text stem = Without(word, "ion");
    const bool applies = Measure(stem) > 1 && (stem.back() == 's' || stem.back() == 't');
    return applies ? std::string(stem) : word;
  }
  for (const Rule& rule : kBefore) {
    if (word.ends_with(rule.suffix)) return Apply(kBefore, 1, word);
  }
  return Apply(kBehind, 1, word);
}

std::string Tidy(std::string word) {  // step 5
  if (word.ends_with("e")) {
    const Text stem = Without(word, "e");
    const std::size_t measure = Measure(stem);
    if (measure > 1 || (measure == 1 && !EndsCvc(stem))) word.pop_back();
  }
  if (word.ends_with("ll") && Measure(Without(word, "l")) > 1) word.pop_back();
  return word;
}

/// Words that NLTK looks up, and what they become.
constexpr std::array<std::pair<Text, Text>, 16> kIrregular = {{{"sky", "sky"},
                                                               {"skies", "sky"},
                                                               {"dying", "die"},
                                                               {"lying", "lie"},
                                                               {"tying", "tie"},
                                                               {"news", "news"},
                                                               {"innings", "inning"},
                                                               {"inning", "inning"},
                                                               {"outings", "outing"},
                                                               {"outing", "outing"},
                                                               {"cannings", "canning"},
                                                               {"canning", "canning"},
                                                               {"howe", "howe"},
                                                               {"proceed", "proceed"},
                                                               {"exceed", "exceed"},
                                                               {"succeed", "succeed"}}};

}  // namespace

std::string PorterStem(const std::string& word) {
  for (const auto& [form, stem] : kIrregular) {
    if (word == form) return std::string(stem);
  }
  if (word.size() <= 2) return word;
  return Tidy(LastSuffix(SingleSuffix(DoubleSuffix(FinalY(PastAndGerund(Plural(word)))))));
}

}  // namespace h1bench::tasks
