#include "harness/coordinator/leases.h"

#include "base/planted.h"

namespace h1bench {
namespace {

std::chrono::steady_clock::time_point Now(Clock& clock) {
  if (Planted(Bug::kLeaseByWallClock))
    return std::chrono::steady_clock::time_point(std::chrono::milliseconds(clock.WallUnixMillis()));
  return clock.Steady();
}

}  // namespace

void LeaseTable::Add(Lease lease) {
  lease.deadline = Now(clock_) + ttl_;
  leases_[lease.id] = std::move(lease);
}

Lease* LeaseTable::Find(std::int64_t id) {
  const auto found = leases_.find(id);
  return found == leases_.end() ? nullptr : &found->second;
}

void LeaseTable::Renew(const std::string& worker) {
  for (auto& [id, lease] : leases_) {
    if (lease.worker == worker) lease.deadline = Now(clock_) + ttl_;
  }
}

Lease LeaseTable::Remove(std::int64_t id) {
  const auto found = leases_.find(id);
  Lease lease = std::move(found->second);
  leases_.erase(found);
  return lease;
}

namespace {

template <typename Predicate>
std::vector<std::int64_t> Where(const std::map<std::int64_t, Lease>& leases, Predicate wanted) {
  std::vector<std::int64_t> ids;
  for (const auto& [id, lease] : leases) {
    if (wanted(lease)) ids.push_back(id);
  }
  return ids;
}

}  // namespace

std::vector<std::int64_t> LeaseTable::Expired() const {
  const auto now = Now(clock_);
  return Where(leases_, [&](const Lease& lease) { return lease.deadline <= now; });
}

std::vector<std::int64_t> LeaseTable::OfWorker(const std::string& worker) const {
  return Where(leases_, [&](const Lease& lease) { return lease.worker == worker; });
}

std::vector<std::int64_t> LeaseTable::OfRun(std::int64_t run) const {
  return Where(leases_, [&](const Lease& lease) { return lease.run == run; });
}

}  // namespace h1bench
