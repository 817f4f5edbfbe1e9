#pragma once

#include <vector>

#include "kernels/cpu/layer.h"

namespace h1bench::cpu {

/// Final norm, head product and answers for the asked rows, which lie at the front of work.x. At
/// most kHeadRows rows of logits exist at a time.
std::vector<RowResult> AnswerRows(const LayerContext& context);

}  // namespace h1bench::cpu
