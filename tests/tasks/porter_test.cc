#include "tasks/scoring/porter.h"

#include <gtest/gtest.h>

#include <sstream>
#include <string>

namespace h1bench::tasks {
namespace {

TEST(Porter, StemsOfEveryRule) {
  // Word and stem, printed by NLTK 3.10's PorterStemmer: Porter's own examples, and words on which
  // NLTK departs from him.
  std::istringstream words(
      "caresses caress ponies poni ties tie dies die cats cat caress caress feed feed "
      "agreed agre plastered plaster bled bled motoring motor sing sing conflated conflat "
      "troubled troubl sized size hopping hop tanned tan falling fall hissing hiss fizzed "
      "fizz failing fail filing file happy happi sky sky enjoy enjoy by by relational relat "
      "conditional condit rational ration valenci valenc hesitanci hesit digitizer digit "
      "conformabli conform radicalli radic differentli differ vileli vile analogousli "
      "analog vietnamization vietnam predication predic operator oper feudalism feudal "
      "decisiveness decis hopefulness hope callousness callous formaliti formal sensitiviti "
      "sensit sensibiliti sensibl hopefulli hope geologi geolog logi logi triplicate "
      "triplic formative form formalize formal electriciti electr electrical electr hopeful "
      "hope goodness good revival reviv allowance allow inference infer airliner airlin "
      "gyroscopic gyroscop adjustable adjust defensible defens irritant irrit replacement "
      "replac adjustment adjust dependent depend adoption adopt homologou homolog communism "
      "commun activate activ angulariti angular homologous homolog effective effect "
      "bowdlerize bowdler probate probat rate rate cease ceas controll control roll roll "
      "dying die news news innings inning proceed proceed spied spi died die rationally "
      "ration b2b b2b 1990s 1990 yyy yyy aye aye ");
  std::size_t count = 0, changed = 0;
  for (std::string word, stem; words >> word >> stem; ++count) {
    EXPECT_EQ(PorterStem(word), stem) << word;
    changed += word != stem ? 1 : 0;
  }
  EXPECT_EQ(count, 92U);
  EXPECT_GT(changed, 70U);
}

}  // namespace
}  // namespace h1bench::tasks
