#pragma once

#include <cstdint>

#include "kernels/backend.h"

namespace h1bench::cli {

/// Work of one Forward, by arithmetic: what an ideal program would compute and move.
struct ForwardCost {
  double flops = 0;
  double bytes = 0;
};

/// `sequences` sequences, each appending `tokens` after `context`, logits of one row each.
/// FLOPs: matrix products, attention over what each token sees, and 6 a state element (decay, outer
/// product, read-out). Bytes: every packed weight once, the state as StateTraffic says, keys and
/// values read once and written.
ForwardCost CostOfForward(const ModelShape& shape, const BackendOptions& options,
                          std::int64_t sequences, std::int64_t tokens, std::int64_t context);

}  // namespace h1bench::cli
