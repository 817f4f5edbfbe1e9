#pragma once

/// Bugs on purpose, to show that the tests see them. In the product the conditions below are the
/// constant false. The files that ask are compiled once more for the tests (tests/planted), where
/// H1BENCH_PLANT_BUG=k in the environment turns bug k on; scripts/planted-bugs, which ctest runs,
/// shows that the test it names fails with it. `cmake -DPLANT_BUG=k` builds one into everything.
namespace h1bench {

enum class Bug {
  kAckBeforeCommit = 1,     // an answer is acknowledged, then committed
  kNoAttemptCheck = 2,      // the store takes answers of an attempt that is over
  kLeaseByWallClock = 3,    // setting the date ends leases
  kNoIncarnationCheck = 4,  // two processes may be one worker
  kLossesNotCounted = 5,    // a document may kill workers for ever
  kLostLeaseKept = 6,       // a lease whose answer got lost is kept alive by heartbeats
  kKeyWithoutModel = 7,     // the answers of a changed model are taken from the old one
  kChecksumIgnored = 8,     // a changed page is read as if nothing were
  kWrongKernel = 9          // attention forgets the key multiplier: other scores, plausible ones
};

#ifdef H1_PLANTABLE
int PlantedNumber();  // tests/planted/number.cc
inline bool Planted(Bug bug) { return static_cast<int>(bug) == PlantedNumber(); }
#else
#ifndef H1_PLANT_BUG
#define H1_PLANT_BUG 0
#endif
constexpr bool Planted(Bug bug) { return static_cast<int>(bug) == H1_PLANT_BUG; }
#endif

}  // namespace h1bench
