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
  set("driver", usage.driver);
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
  Json phases{Json::Object{}};
  for (std::size_t i = 0; i < kPhases; ++i) {
    if (usage.phases[i].seconds <= 0) continue;
    Json phase;
    phase.Set("seconds", usage.phases[i].seconds);
    if (usage.phases[i].joules) phase.Set("joules", *usage.phases[i].joules);
    phases.Set(PhaseName(static_cast<Phase>(i)), phase);
  }
  if (!phases.as_object().empty()) json.Set("phases", phases);
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
  energy_ = {};
  phases_ = {};
  phase_.reset();
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

void Telemetry::Enter(Phase phase) {
  const std::lock_guard lock(mutex_);
  if (phase_ == phase) return;
  if (running_) Read(Ask::kEnergy);
  phase_ = phase;
}

void Telemetry::AddInterval(double seconds, std::optional<double> joules,
                            std::optional<double> watts) {
  Energy step;
  step.seconds = seconds;
  if (joules && last_joules_ && *joules >= *last_joules_) {
    step.counted = *joules - *last_joules_;
  } else {
    lost_ = true;
  }
  if (watts && last_watts_) {
    step.integrated = (*watts + *last_watts_) / 2 * seconds;
  } else {
    power_known_ = false;
  }
  const auto add = [&](Energy& to) {
    to.seconds += step.seconds;
    to.counted += step.counted;
    to.integrated += step.integrated;
  };
  add(energy_);
  if (phase_) add(phases_[static_cast<std::size_t>(*phase_)]);
}

void Telemetry::Read(Ask ask) {
  const double now = Now();
  const auto joules = nvml_->Joules(), watts = nvml_->Watts();
  if (last_time_ > 0) AddInterval(now - last_time_, joules, watts);
  last_time_ = now;
  last_joules_ = joules;
  last_watts_ = watts;
  Largest(usage_.peak_watts, watts);
  if (ask == Ask::kEnergy) return;
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
  out.seconds = energy_.seconds;
  out.driver = nvml_->Driver();
  if (out.seconds <= 0) return out;
  out.energy_counter = !lost_;
  const auto joules = [this](const Energy& energy) -> std::optional<double> {
    if (!lost_) return energy.counted;
    return power_known_ ? std::optional(energy.integrated) : std::nullopt;
  };
  out.joules = joules(energy_);
  for (std::size_t i = 0; i < kPhases; ++i) {
    out.phases[i].seconds = phases_[i].seconds;
    if (phases_[i].seconds > 0) out.phases[i].joules = joules(phases_[i]);
  }
  if (out.joules) out.mean_watts = *out.joules / out.seconds;
  return out;
}

}  // namespace h1bench
