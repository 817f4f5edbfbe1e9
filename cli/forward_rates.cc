#include "cli/forward_rates.h"

#include <chrono>

#include "base/clock.h"
#include "base/json.h"
#include "base/sha256.h"
#include "cli/run_models.h"
#include "runner/checkpoint/synthesize.h"
#include "runner/estimate/measure_rates.h"
#include "runner/worker/identity.h"

namespace h1bench::cli {
namespace {

constexpr const char* kKind = "forward rates 2";

/// What two measurements must share to be of the same thing.
Result<Json> KeyOf(const ModelShape& shape, const EngineOptions& options, std::int64_t workers) {
  H1_ASSIGN_OR_RETURN(const std::string identity,
                      EngineIdentity(DeviceName(options.backend.device)));
  H1_ASSIGN_OR_RETURN(const Json machine, ParseJson(EnvironmentJson()));
  Json key;
  key.Set("identity", identity);
  for (const char* member : {"host", "cpu", "cores"}) {
    const Json* value = machine.Find(member);
    key.Set(member, value == nullptr ? Json() : *value);
  }
  key.Set("shape", Sha256Hex(MakeConfigJson(shape)));
  key.Set("precision", PrecisionName(options.backend.precision));
  key.Set("threads", options.backend.threads).Set("workers", workers);
  key.Set("batch", options.max_batch);
  return key;
}

/// The newest ones of this key, if there are any.
Result<ForwardRates> FindRates(Store& store, const Json& key) {
  H1_ASSIGN_OR_RETURN(const std::vector<std::string> results, store.BenchResults());
  for (auto text = results.rbegin(); text != results.rend(); ++text) {
    const Result<Json> json = ParseJson(*text);
    if (!json.ok()) continue;
    const Json* kind = json->Find("kind");
    const Json* kept = json->Find("key");
    const Json* rates = json->Find("rates");
    if (kind == nullptr || *kind != Json(kKind) || kept == nullptr || *kept != key) continue;
    if (rates != nullptr) return ForwardRatesFromJson(*rates);
  }
  return NotFound("no rates");
}

}  // namespace

Result<KeptRates> FindOrMeasureRates(Store* store, const ModelShape& shape,
                                     const EngineOptions& options, std::int64_t workers) {
  if (options.backend.device == Device::kCudaEmulated)
    return Unavailable("the emulated backend's time means nothing");
  H1_ASSIGN_OR_RETURN(const Json key, KeyOf(shape, options, workers));
  if (store != nullptr) {
    Result<ForwardRates> found = FindRates(*store, key);
    if (found.ok()) return KeptRates{std::move(found).value(), 0};
  }
  const auto start = Clock::Real().Steady();
  KeptRates out;
  H1_ASSIGN_OR_RETURN(out.rates,
                      MeasureForwardRates(shape, {options.backend, workers, options.max_batch}));
  out.measuring_seconds = std::chrono::duration<double>(Clock::Real().Steady() - start).count();
  if (store != nullptr) {
    Json row;
    row.Set("kind", kKind).Set("key", key).Set("rates", ToJson(out.rates));
    H1_RETURN_IF_ERROR(store->RecordBench(Clock::Real().WallUnixMillis(), WriteJson(row)));
  }
  return out;
}

}  // namespace h1bench::cli
