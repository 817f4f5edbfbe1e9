#include "runner/worker/telemetry.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace h1bench {
namespace {

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

template <typename T>
void Largest(std::optional<T>& known, const std::optional<T>& value) {
  if (value && (!known || *value > *known)) known = value;
}

}  // namespace

Json ToJson(const std::string& name, const GpuUsage& usage) {
  Json json, foreign{Json::Array{}};
  json.Set("name", name).Set("seconds", usage.seconds);
  const auto set = [&](const char* key, const auto& value) {
    if (value) json.Set(key, *value);
  };
  set("joules", usage.joules);
  if (usage.joules) json.Set("energy_counter", usage.energy_counter);
  set("mean_watts", usage.mean_watts);
  set("peak_watts", usage.peak_watts);
  set("sm_clock_min_mhz", usage.sm_clock_min);
  set("sm_clock_max_mhz", usage.sm_clock_max);
  set("celsius_max", usage.celsius_max);
  set("memory_max", usage.memory_max);
  for (const pid_t pid : usage.foreign) foreign.Push(static_cast<std::int64_t>(pid));
  if (!usage.foreign.empty()) json.Set("foreign_processes", foreign);
  return json;
}

std::unique_ptr<Telemetry> Telemetry::Open(std::chrono::milliseconds every) {
  auto nvml = Nvml::Open();
  return nvml == nullptr ? nullptr : std::make_unique<Telemetry>(std::move(nvml), every);
}

Telemetry::Telemetry(std::unique_ptr<Nvml> nvml, std::chrono::milliseconds every)
    : nvml_(std::move(nvml)), every_(every) {
  for (const pid_t pid : nvml_->ComputeProcesses())
    if (pid != getpid()) before_.insert(pid);
  thread_ = std::thread([this] { Watch(); });
}

Telemetry::~Telemetry() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void Telemetry::Watch() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    if (!running_) {
      wake_.wait(lock, [this] { return ending_ || running_; });
    } else if (!wake_.wait_for(lock, every_, [this] { return ending_ || !running_; })) {
      Read();
    }
  }
}

void Telemetry::Reset() {
  const std::lock_guard lock(mutex_);
  running_ = lost_ = false;
  counted_ = integrated_ = 0;
  power_known_ = true;
  usage_ = {};
}

void Telemetry::Resume() {
  const std::lock_guard lock(mutex_);
  if (running_) return;
  last_time_ = 0;  // the first reading of a span has nothing before it
  running_ = true;
  Read();
  wake_.notify_all();
}

void Telemetry::Pause() {
  const std::lock_guard lock(mutex_);
  if (!running_) return;
  Read();
  running_ = false;
  wake_.notify_all();
}

void Telemetry::Read() {
  const double now = Now();
  const auto joules = nvml_->Joules(), watts = nvml_->Watts();
  if (last_time_ > 0) {
    usage_.seconds += now - last_time_;
    if (joules && last_joules_ && *joules >= *last_joules_) {
      counted_ += *joules - *last_joules_;
    } else {
      lost_ = true;
    }
    if (watts && last_watts_) {
      integrated_ += (*watts + *last_watts_) / 2 * (now - last_time_);
    } else {
      power_known_ = false;
    }
  }
  last_time_ = now;
  last_joules_ = joules;
  last_watts_ = watts;
  Largest(usage_.peak_watts, watts);
  const auto clock = nvml_->SmClockMhz();
  Largest(usage_.sm_clock_max, clock);
  if (clock) usage_.sm_clock_min = std::min(usage_.sm_clock_min.value_or(*clock), *clock);
  Largest(usage_.celsius_max, nvml_->Celsius());
  Largest(usage_.memory_max, nvml_->MemoryUsed());
  NoteProcesses();
}

/// Where the driver does not know this process by its own id (a container), a new id may be this
/// process: only those that were there before it are surely others.
void Telemetry::NoteProcesses() {
  const std::vector<pid_t> now = nvml_->ComputeProcesses();
  const bool known = std::find(now.begin(), now.end(), getpid()) != now.end();
  for (const pid_t pid : now)
    if (pid != getpid() && (known || before_.contains(pid))) usage_.foreign.insert(pid);
}

GpuUsage Telemetry::Usage() {
  const std::lock_guard lock(mutex_);
  if (running_) Read();
  GpuUsage out = usage_;
  if (out.seconds <= 0) return out;
  out.energy_counter = !lost_;
  if (!lost_) {
    out.joules = counted_;
  } else if (power_known_) {
    out.joules = integrated_;
  }
  if (out.joules) out.mean_watts = *out.joules / out.seconds;
  return out;
}

}  // namespace h1bench
