#pragma once

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "base/json.h"
#include "runner/engine/engine.h"
#include "runner/worker/nvml.h"

namespace h1bench {

/// Time and energy of one phase of the engine: from a Forward of it to the next of another.
struct PhaseUsage {
  double seconds = 0;
  std::optional<double> joules;
};

/// What a GPU did while it was watched. Absent: the driver did not tell.
struct GpuUsage {
  double seconds = 0;            // watched
  std::optional<double> joules;  // of the whole card, whoever used it
  std::optional<std::string> driver;
  bool energy_counter = false;  // joules from the card's counter; else power over time
  std::optional<double> mean_watts, peak_watts;
  std::optional<std::int64_t> sm_clock_min, sm_clock_max;  // MHz
  std::optional<std::int64_t> celsius_max, memory_max;     // memory: bytes, of all processes
  std::set<pid_t> foreign;  // other processes that computed on it: the figures are theirs too
  std::array<PhaseUsage, kPhases> phases;  // by Phase; what came before the first is in none
};

/// Members of GpuUsage that are known, and the card's name.
Json ToJson(const std::string& name, const GpuUsage& usage);

/// Watches one GPU: a reading at both ends of every span and, by a thread of its own, `every` so
/// often inside. Spans add up until Reset. Thread-safe.
class Telemetry {
 public:
  static constexpr std::chrono::milliseconds kEvery{100};
  /// Null where there is no NVML: nothing is measured then. Open it before the engine makes its
  /// CUDA context, so that processes already there are known as others'.
  static std::unique_ptr<Telemetry> Open(std::chrono::milliseconds every = kEvery);
  explicit Telemetry(std::unique_ptr<Nvml> nvml, std::chrono::milliseconds every = kEvery);
  ~Telemetry();
  Telemetry(const Telemetry&) = delete;
  Telemetry& operator=(const Telemetry&) = delete;

  void Reset();   // forgets; ends the span
  void Resume();  // begins a span
  void Pause();   // ends it
  /// What comes now belongs to this phase. A reading only where it is another one.
  void Enter(Phase phase);
  /// Since Reset, the open span included. Takes a reading.
  GpuUsage Usage();
  std::string Name() const { return nvml_->Name(); }

 private:
  void Watch();
  /// Adds what happened since the last reading. Holds mutex_. Energy only: where there is no time
  /// for the slower questions.
  enum class Ask { kAll, kEnergy };
  void Read(Ask ask = Ask::kAll);
  void NoteProcesses();
  /// Time and energy since the last reading, into the whole and the phase.
  void AddInterval(double seconds, std::optional<double> joules, std::optional<double> watts);

  /// Energy of some time, both ways.
  struct Energy {
    double seconds = 0, counted = 0, integrated = 0;  // s, J, J
  };

  const std::unique_ptr<Nvml> nvml_;
  const std::chrono::milliseconds every_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool ending_ = false, running_ = false;
  bool lost_ = false;  // the counter failed or ran backwards: no energy rather than a wrong one
  double last_time_ = 0;
  std::optional<double> last_joules_, last_watts_;
  Energy energy_;
  std::array<Energy, kPhases> phases_;
  std::optional<Phase> phase_;
  bool power_known_ = true;  // at both ends of every interval
  std::set<pid_t> before_;   // there when this was opened
  GpuUsage usage_;
  std::thread thread_;
};

}  // namespace h1bench
