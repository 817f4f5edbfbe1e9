#pragma once

#include <string>

namespace h1bench::tasks {

/// The stem of an English word in lower-case ASCII letters and digits: M. F. Porter, "An algorithm
/// for suffix stripping" (Program 14, 1980), with NLTK's departures (PorterStemmer's default
/// mode), since the ROUGE scores that are published stem with it.
std::string PorterStem(const std::string& word);

}  // namespace h1bench::tasks
