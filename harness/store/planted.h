#pragma once

/// Bugs on purpose, to show that the tests see them: `cmake -DPLANT_BUG=k` builds number k into the
/// harness, and scripts/planted-bugs shows that the test named there fails. In every other build
/// the conditions below are the constant false.
namespace h1bench {

#ifndef H1_PLANT_BUG
#define H1_PLANT_BUG 0
#endif

enum class Bug {
  kAckBeforeCommit = 1,     // an answer is acknowledged, then committed
  kNoAttemptCheck = 2,      // the store takes answers of an attempt that is over
  kLeaseByWallClock = 3,    // setting the date ends leases
  kNoIncarnationCheck = 4,  // two processes may be one worker
  kLossesNotCounted = 5,    // a document may kill workers for ever
  kLostLeaseKept = 6,       // a lease whose answer got lost is kept alive by heartbeats
  kKeyWithoutModel = 7,     // the answers of a changed model are taken from the old one
  kChecksumIgnored = 8      // a changed page is read as if nothing were
};

constexpr bool Planted(Bug bug) { return static_cast<int>(bug) == H1_PLANT_BUG; }

}  // namespace h1bench
