// What a worker fetches ahead: order, how much, and that an end is an end.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>

#include "runner/worker/ahead.h"

namespace h1bench {
namespace {

using std::chrono::milliseconds;

std::int64_t Weight(const int& thing) { return thing; }

/// Waits for what must come soon.
template <typename Predicate>
bool Soon(Predicate predicate) {
  for (int i = 0; i < 2000 && !predicate(); ++i) std::this_thread::sleep_for(milliseconds(5));
  return predicate();
}

TEST(Ahead, GivesAllInOrderAndThenEnds) {
  int next = 0;
  Ahead<int> ahead([&] { return next < 50 ? std::make_unique<int>(next++) : nullptr; }, Weight, 10,
                   3);
  for (int i = 0; i < 50; ++i) {
    const auto thing = ahead.Take(true);
    ASSERT_NE(thing, nullptr) << i;
    EXPECT_EQ(*thing, i);
  }
  EXPECT_EQ(ahead.Take(true), nullptr);
}

TEST(Ahead, FetchesNoMoreThanEnough) {
  std::atomic<int> fetched = 0;
  const auto fetch = [&] {
    ++fetched;
    return std::make_unique<int>(10);
  };
  {
    Ahead<int> by_weight(fetch, Weight, 25, 100);
    EXPECT_TRUE(Soon([&] { return fetched == 3; }));  // 20 is not enough, 30 is
    std::this_thread::sleep_for(milliseconds(30));
    EXPECT_EQ(fetched, 3);
    EXPECT_NE(by_weight.Take(false), nullptr);
    EXPECT_TRUE(Soon([&] { return fetched == 4; }));
  }
  fetched = 0;
  Ahead<int> by_count(fetch, Weight, 1'000'000, 2);
  EXPECT_TRUE(Soon([&] { return fetched == 2; }));
  std::this_thread::sleep_for(milliseconds(30));
  EXPECT_EQ(fetched, 2);
}

TEST(Ahead, OneIsFetchedWhateverItWeighs) {
  std::atomic<int> fetched = 0;
  Ahead<int> ahead(
      [&] {
        ++fetched;
        return std::make_unique<int>(10);
      },
      Weight, 0, 1);
  EXPECT_TRUE(Soon([&] { return fetched == 1; }));
}

TEST(Ahead, WhoDoesNotWaitGetsNothingWhileAFetchIsUnderWay) {
  std::promise<void> release;
  Ahead<int> ahead(
      [gate = release.get_future().share()] {
        gate.wait();
        return std::make_unique<int>(1);
      },
      Weight, 1, 1);
  EXPECT_EQ(ahead.Take(false), nullptr);
  release.set_value();
  EXPECT_NE(ahead.Take(true), nullptr);  // waits for the fetch
}

/// After the answer "there is none" to who waits nothing more may be fetched: nobody would take it.
TEST(Ahead, NothingIsFetchedAfterTheEndWasTold) {
  std::atomic<int> fetched = 0;
  Ahead<int> ahead(
      [&]() -> std::unique_ptr<int> {
        ++fetched;
        return nullptr;
      },
      Weight, 1, 1, milliseconds(20));
  EXPECT_TRUE(Soon([&] { return fetched > 3; }));  // it asks again now and then
  EXPECT_EQ(ahead.Take(true), nullptr);
  const int then = fetched;
  std::this_thread::sleep_for(milliseconds(100));
  EXPECT_EQ(fetched, then);
  EXPECT_EQ(ahead.Take(true), nullptr);
}

}  // namespace
}  // namespace h1bench
