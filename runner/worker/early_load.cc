#include "runner/worker/early_load.h"

#include <chrono>
#include <utility>

namespace h1bench {

Result<LoadedEngine> LoadAndProbe(const v1::Variant& variant, const WorkerOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  LoadedEngine loaded;
  H1_ASSIGN_OR_RETURN(loaded.engine, LoadVariant(variant, options));
  H1_ASSIGN_OR_RETURN(loaded.probe, loaded.engine->Probe());
  loaded.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return loaded;
}

void EarlyLoad::Begin(const v1::Variant& variant, const WorkerOptions& options) {
  variant_ = variant;
  loading_ =
      std::async(std::launch::async, [this, &options] { return LoadAndProbe(variant_, options); });
}

std::optional<Result<LoadedEngine>> EarlyLoad::Take(const v1::Variant& variant) {
  if (!loading_.valid()) return std::nullopt;
  Result<LoadedEngine> loaded = loading_.get();
  if (variant.path() != variant_.path() || variant.model_digest() != variant_.model_digest() ||
      variant.precision() != variant_.precision() ||
      variant.max_length() != variant_.max_length() || variant.identity() != variant_.identity())
    return std::nullopt;
  return loaded;
}

}  // namespace h1bench
