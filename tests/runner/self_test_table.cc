// Prints the table of runner/engine/self_test_answers.cc (then scripts/format).
#include <fmt/format.h>

#include "tests/runner/known_answers.h"

int main() {
  for (const h1bench::KnownAnswer& one : h1bench::testing::MakeKnownAnswers(64))
    fmt::print("    {{{}, {{{}, {}}}, {:.9f}}},\n", one.seed, one.tokens[0], one.tokens[1],
               one.loglikelihood);
}
