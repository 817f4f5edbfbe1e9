#pragma once

#include <cstdint>

#include "base/status.h"
#include "harness/store/store.h"
#include "kernels/model.h"
#include "runner/engine/engine.h"
#include "runner/estimate/forward_rates.h"

namespace h1bench::cli {

struct KeptRates {
  ForwardRates rates;
  double measuring_seconds = 0;  // 0: they were in the database
};

/// Rates of this machine, engine build, model shape, precision and number of workers: from the
/// database (bench_results), else measured now and kept there. `store` may be null. kUnavailable
/// where they cannot be measured.
Result<KeptRates> FindOrMeasureRates(Store* store, const ModelShape& shape,
                                     const EngineOptions& options, std::int64_t workers);

}  // namespace h1bench::cli
