#include "runner/worker/life.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>

namespace h1bench {
namespace {

constexpr std::chrono::milliseconds kGlance{200};  // how soon SIGTERM and a dead parent are noticed
constexpr std::chrono::milliseconds kRetry{500};

volatile sig_atomic_t g_terminated = 0;

/// Ends the process at once: nothing in memory could still be handed in.
[[noreturn]] void End(const std::string& worker, const char* why) {
  std::fprintf(stderr, "%s: %s, leaving\n", worker.c_str(), why);
  _exit(ExitCode(Unavailable("{}", why)));
}

}  // namespace

Life::Life(CoordinatorClient& client, v1::RegisterRequest identity, std::int64_t parent)
    : client_(client), identity_(std::move(identity)), parent_(parent) {
  struct sigaction action = {};
  action.sa_handler = [](int) { g_terminated = 1; };
  sigaction(SIGTERM, &action, nullptr);
  if (parent_ != 0) signal(SIGINT, SIG_IGN);  // Ctrl-C goes to the whole group; the parent decides
}

void Life::DieWith(std::int64_t parent, const std::string& worker) {
  if (parent == 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) End(worker, "the parent is gone");
}

Life::~Life() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Status Life::Begin() {
  // A call waits five seconds for the coordinator to listen; one that failed sooner lost its
  // answer.
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  Status status = RegisterAgain();
  while (status.code() == StatusCode::kUnavailable && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(kGlance);
    status = RegisterAgain();
  }
  if (!status.ok()) return status;
  thread_ = std::thread([this] { Beat(); });
  return status;
}

Status Life::RegisterAgain() {
  v1::RegisterResponse response;
  H1_RETURN_IF_ERROR(client_.Register(identity_, response));
  Heard();
  const std::lock_guard lock(mutex_);
  if (response.heartbeat_ms() > 0) interval_ = std::chrono::milliseconds(response.heartbeat_ms());
  return Status::Ok();
}

void Life::Heard() {
  const std::lock_guard lock(mutex_);
  heard_ = std::chrono::steady_clock::now();
}

void Life::Hold(std::int64_t lease) {
  const std::lock_guard lock(mutex_);
  leases_[lease] = false;
}

void Life::LetGo(std::int64_t lease) {
  const std::lock_guard lock(mutex_);
  leases_.erase(lease);
}

void Life::LetGoOfAll() {
  const std::lock_guard lock(mutex_);
  leases_.clear();
}

void Life::Lose(std::int64_t lease) {
  const std::lock_guard lock(mutex_);
  if (const auto found = leases_.find(lease); found != leases_.end()) found->second = true;
}

bool Life::Lost(std::int64_t lease) const {
  const std::lock_guard lock(mutex_);
  const auto found = leases_.find(lease);
  return found != leases_.end() && found->second;
}

std::vector<std::int64_t> Life::held() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::int64_t> leases;
  for (const auto& [lease, lost] : leases_)
    if (!lost) leases.push_back(lease);
  return leases;
}

bool Life::Leaving() const { return g_terminated != 0 || drain_; }

Status Life::fenced() const {
  const std::lock_guard lock(mutex_);
  return fenced_;
}

void Life::Beat() {
  auto next = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, kGlance, [this] { return stop_; })) {
    const auto heard = heard_;
    const auto interval = interval_;
    lock.unlock();
    const auto now = std::chrono::steady_clock::now();
    if (parent_ != 0 && getppid() != parent_) End(identity_.worker_name(), "the parent is gone");
    if (now - heard > kSilence) End(identity_.worker_name(), "the coordinator does not answer");
    if (Leaving()) client_.CancelLease();
    if (now >= next) {
      BeatOnce(std::chrono::duration_cast<std::chrono::milliseconds>(heard + kSilence - now));
      lock.lock();
      next = std::chrono::steady_clock::now() + (heard_ > heard ? interval : kRetry);
      continue;
    }
    lock.lock();
  }
}

void Life::BeatOnce(std::chrono::milliseconds limit) {
  v1::HeartbeatRequest request;
  request.set_worker_name(identity_.worker_name());
  request.set_incarnation(identity_.incarnation());
  const std::vector<std::int64_t> leases = held();
  request.mutable_lease_ids()->Add(leases.begin(), leases.end());
  v1::HeartbeatResponse response;
  const Status status = client_.Heartbeat(request, response, limit);
  if (status.ok()) {
    Heard();
    if (response.drain()) drain_ = true;
    for (const std::int64_t lease : response.lost_lease_ids()) Lose(lease);
  } else if (status.code() ==
             StatusCode::kNotFound) {  // another coordinator took over: our leases are void there
    if (!RegisterAgain().ok()) return;
    for (const std::int64_t lease : leases) Lose(lease);
  } else if (status.code() == StatusCode::kFailedPrecondition) {
    {
      const std::lock_guard lock(mutex_);
      fenced_ = status;
      for (auto& [lease, lost] : leases_) lost = true;
    }
    client_.CancelLease();
  }
}

}  // namespace h1bench
