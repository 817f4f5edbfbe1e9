#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/sha256.h"
#include "tasks/fewshot/numpy_generator.h"
#include "tasks/fewshot/python_random.h"

// Every constant here was printed by CPython 3.11's random.Random.
namespace h1bench::tasks {
namespace {

using Places = std::vector<std::size_t>;

TEST(PythonRandom, FirstOutputs) {
  PythonRandom a(1234);
  for (const std::uint32_t expected :
       {4150886329U, 3342196574U, 1892932127U, 501869158U, 32175636U})
    EXPECT_EQ(a.Next(), expected);
  PythonRandom b(42);
  for (const std::uint32_t expected : {2746317213U, 478163327U, 107420369U})
    EXPECT_EQ(b.Next(), expected);
  EXPECT_NE(PythonRandom(1235).Next(), 4150886329U);
}

TEST(PythonRandom, SeedsAndBitsOverOneWord) {
  EXPECT_EQ(PythonRandom(1234).GetRandBits(64), 14354624986284130233U);
  EXPECT_EQ(PythonRandom((std::uint64_t{1} << 40) + 5).GetRandBits(32), 2166296868U);
}

TEST(PythonRandom, RandIntThenSampleInSequence) {
  PythonRandom random(42);
  for (const std::int64_t expected : {2867825, 1419610, 5614226, 5108603})
    EXPECT_EQ(random.RandInt(1'000'000, 9'999'999), expected);
  EXPECT_EQ(random.Sample(40, 4), (Places{14, 8, 6, 34}));
}

TEST(PythonRandom, ShotsOfTheFirstSixGsm8kDocuments) {
  PythonRandom random(1234);
  const std::vector<Places> expected = {
      {6374, 3610, 957, 61, 742},  {7462, 6610, 4769, 286, 5501},  {5677, 687, 806, 6279, 2905},
      {1939, 142, 252, 6461, 129}, {2835, 5311, 5105, 3966, 5044}, {3797, 1216, 747, 1499, 5844}};
  for (const Places& places : expected) EXPECT_EQ(random.Sample(7473, 5), places);
}

TEST(PythonRandom, SampleUsesPoolAndSetWherePythonDoes) {
  PythonRandom many(1234);
  EXPECT_EQ(many.Sample(1000, 20), (Places{989, 796, 451, 119, 7,  92,  932, 965, 961, 826,
                                           596, 35,  687, 709, 85, 100, 784, 363, 242, 17}));
  PythonRandom pool(7);
  EXPECT_EQ(pool.Sample(30, 8), (Places{10, 4, 12, 20, 1, 2, 17, 3}));
  // The methods change over between 21 and 22 places, for six draws between 85 and 86. With these
  // seeds the other method draws something else.
  EXPECT_EQ(PythonRandom(2).Sample(21, 5), (Places{1, 2, 19, 11, 5}));
  EXPECT_EQ(PythonRandom(2).Sample(22, 5), (Places{1, 2, 11, 5, 21}));
  EXPECT_EQ(PythonRandom(5).Sample(85, 6), (Places{79, 32, 45, 67, 3, 59}));
  EXPECT_EQ(PythonRandom(2).Sample(86, 6), (Places{7, 11, 10, 46, 21, 85}));
  EXPECT_TRUE(PythonRandom(9).Sample(100, 0).empty());
  EXPECT_EQ(PythonRandom(9).Sample(5, 5), (Places{3, 2, 1, 0, 4}));
}

// Printed by NumPy 2.4: np.random.default_rng(seed).permutation(n).
TEST(NumpyGenerator, Permutations) {
  EXPECT_EQ(NumpyGenerator(42).Permutation(10), (Places{5, 6, 0, 7, 3, 2, 4, 9, 1, 8}));
  EXPECT_EQ(NumpyGenerator(0).Permutation(7), (Places{2, 4, 3, 6, 5, 0, 1}));
  EXPECT_EQ(NumpyGenerator(2147483647).Permutation(12),
            (Places{1, 8, 3, 2, 0, 7, 5, 6, 4, 11, 9, 10}));
  EXPECT_EQ(NumpyGenerator(42).Permutation(1), Places{0});
  EXPECT_TRUE(NumpyGenerator(42).Permutation(0).empty());
}

TEST(NumpyGenerator, LongPermutations) {
  const auto digest = [](std::uint64_t seed, std::size_t n) {
    std::string text;
    for (const std::size_t place : NumpyGenerator(seed).Permutation(n))
      text += (text.empty() ? "" : " ") + std::to_string(place);
    return Sha256Hex(text);
  };
  EXPECT_EQ(digest(42, 1000), "d3948d1b3777040617945ab485d183b52bb8270b956147723a1145fd1adc1ed2");
  EXPECT_EQ(digest(7, 25715), "1490a0c695dfe8c2874e8c9231cfa18938db93d3b9353e60da53fbdf907d3415");
  EXPECT_EQ(digest(1, 100000), "12aea4f739ed3fb8e0e15c552bf603cac32670625234529801faeb73033f2ac8");
}

}  // namespace
}  // namespace h1bench::tasks
