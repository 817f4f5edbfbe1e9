#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "harness/store/store.h"

namespace h1bench {

/// Work that a worker holds. `remaining` are the samples it has not answered yet.
struct Lease {
  std::int64_t id = 0, attempt = 0, run = 0;
  std::string worker;
  bool suspect = false;                         // its shard is (shards.h)
  std::map<std::int64_t, SampleRow> remaining;  // by sample id
  std::chrono::steady_clock::time_point deadline;
  std::chrono::steady_clock::time_point since;  // granted, or answered in part
};

/// The live leases with their deadlines, by the steady clock alone: setting the date neither ends a
/// lease nor keeps it.
class LeaseTable {
 public:
  LeaseTable(Clock& clock, std::chrono::milliseconds ttl) : clock_(clock), ttl_(ttl) {}

  /// Takes the lease over; its deadline is now + ttl.
  void Add(Lease lease);
  /// Null when it is not live.
  Lease* Find(std::int64_t id);
  /// A sign of life of this worker: all its leases get a new deadline.
  void Renew(const std::string& worker);
  /// Takes a lease out; it must be live.
  Lease Remove(std::int64_t id);
  std::vector<std::int64_t> Expired() const;
  std::vector<std::int64_t> OfWorker(const std::string& worker) const;
  std::vector<std::int64_t> OfRun(std::int64_t run) const;

 private:
  Clock& clock_;
  std::chrono::milliseconds ttl_;
  std::map<std::int64_t, Lease> leases_;
};

}  // namespace h1bench
