#include "cli/run_models.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <thread>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/text_tokens.h"
#include "kernels/backend.h"
#include "runner/checkpoint/checkpoint.h"
#include "runner/checkpoint/stamp.h"
#include "runner/checkpoint/synthesize.h"
#include "runner/tokenizer/tokenizer.h"

namespace h1bench::cli {
namespace {

/// The value of "KEY : value" in a file of /proc.
std::string ProcValue(const char* file, const std::string& key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (line.rfind(key, 0) != 0) continue;
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::size_t start = line.find_first_not_of(" \t", colon + 1);
    return start == std::string::npos ? "" : line.substr(start);
  }
  return "";
}

std::int64_t MemInfoBytes(const char* key) {
  const std::string text = ProcValue("/proc/meminfo", key);
  return text.empty() ? 0 : std::strtoll(text.c_str(), nullptr, 10) * 1024;
}

std::string KeyOf(const std::filesystem::path& folder) {
  return std::filesystem::absolute(folder).lexically_normal().string();
}

bool HasRandomWeights(const std::string& config_json) {
  const Result<Json> json = ParseJson(config_json, {.allow_nonfinite = true});
  const Json* name = json.ok() ? json->Find("_name_or_path") : nullptr;
  return name != nullptr && *name == Json(kSyntheticName);
}

}  // namespace

Result<ModelFacts> CheckpointModels::Read(const std::filesystem::path& folder) {
  const std::string key = KeyOf(folder);
  if (const auto found = known_.find(key); found != known_.end()) return found->second;
  const auto start = Clock::Real().Steady();
  const std::string stamp = FolderStamp(folder);
  H1_ASSIGN_OR_RETURN(const Checkpoint checkpoint, Checkpoint::Open(folder));
  ModelFacts facts;
  const auto hashing = Clock::Real().Steady();
  H1_ASSIGN_OR_RETURN(facts.digest, checkpoint.Digest());
  const std::chrono::duration<double> hashed = Clock::Real().Steady() - hashing;
  const bool checked = !stamp.empty() && FolderStamp(folder) == stamp;
  if (checked) checked_[stamp] = facts.digest;
  H1_ASSIGN_OR_RETURN(facts.config_json, ReadFile(folder / "config.json", 1 << 20));
  facts.parameters = checkpoint.parameters();
  facts.max_length = checkpoint.config().shape.max_positions;
  for (const Precision precision : {Precision::kBf16, Precision::kFp32}) {
    BackendOptions options;
    options.precision = precision;
    facts.weight_bytes[PrecisionName(precision)] =
        PlanMemory(checkpoint.config().shape, options, 0, 0).weights;
  }
  facts.chat = checkpoint.CheckChat();
  H1_ASSIGN_OR_RETURN(Tokenizer tokenizer, Tokenizer::Open(folder));
  const auto shared = std::make_shared<const Tokenizer>(std::move(tokenizer));
  TextTokens tokens = TokensOf(shared);
  facts.count_tokens = std::move(tokens.count);
  facts.cut_tokens = std::move(tokens.cut);
  known_[key] = facts;
  const std::chrono::duration<double> seconds = Clock::Real().Steady() - start;
  loaded_[key] = {checkpoint.config(),
                  shared,
                  checkpoint.weight_bytes(),
                  seconds.count(),
                  checked ? (seconds - hashed).count() : seconds.count(),
                  HasRandomWeights(facts.config_json)};
  return facts;
}

const LoadedModel& CheckpointModels::Loaded(const std::filesystem::path& folder) const {
  return loaded_.at(KeyOf(folder));
}

double CheckpointModels::read_seconds() const {
  double seconds = 0;
  for (const auto& [folder, model] : loaded_) seconds += model.read_seconds;
  return seconds;
}

std::string EnvironmentJson(const std::string& sandbox_profile) {
  utsname system = {};
  uname(&system);
  Json json;
  json.Set("host", system.nodename);
  json.Set("system", fmt::format("{} {} {}", system.sysname, system.release, system.machine));
  json.Set("cpu", ProcValue("/proc/cpuinfo", "model name"));
  json.Set("cores", static_cast<std::int64_t>(std::thread::hardware_concurrency()));
  json.Set("memory_bytes", MemInfoBytes("MemTotal"));
  const Result<std::string> backend = DeviceIdentity(DefaultDevice());
  json.Set("backend", backend.ok() ? *backend : backend.status().message());
  if (!sandbox_profile.empty()) json.Set("sandbox_profile", sandbox_profile);
  return WriteJson(json);
}

}  // namespace h1bench::cli
