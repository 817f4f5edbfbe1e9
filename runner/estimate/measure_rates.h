#pragma once

#include <cstdint>

#include "base/status.h"
#include "kernels/backend.h"
#include "runner/estimate/forward_rates.h"

namespace h1bench {

struct MeasureRatesOptions {
  BackendOptions backend;       // as a worker's
  std::int64_t workers = 1;     // CPU: so many measure at the same time, as they will compute
  std::int64_t max_batch = 64;  // generations in flight
};

/// Times a handful of Forwards of a model of this shape with random weights and few layers. A layer
/// costs the same wherever it is, so two depths tell what all layers cost; a second or so instead
/// of loading the model. kUnavailable when even two layers would be too big to make for that.
Result<ForwardRates> MeasureForwardRates(const ModelShape& shape,
                                         const MeasureRatesOptions& options);

}  // namespace h1bench
