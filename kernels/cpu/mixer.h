#pragma once

#include "kernels/cpu/layer.h"

/// The four stages between the in product and the out product, of the rows of one block.
namespace h1bench::cpu {

/// Multipliers and biases on dt, q, k and v (the others' are applied where they are read), RoPE on
/// q and k, K and V into the cache, dt and its decay.
void ScaleAndRotate(const LayerContext& context, const RowBlock& block, const PackedLayer& weights);
/// Depthwise conv and silu over x, B, C.
void Convolve(const LayerContext& context, const RowBlock& block, const PackedLayer& weights,
              std::int64_t layer);
/// The SSM of every (piece, head), attention of every (piece, kv head, 32 rows), and the new
/// conv tails. Attention leaves its rows in work.act, the SSM in work.y.
void ScanAndAttend(const LayerContext& context, const RowBlock& block, const PackedLayer& weights,
                   std::int64_t layer);
/// Gate and gated norm of the SSM rows into work.act.
void Gate(const LayerContext& context, const RowBlock& block, const PackedLayer& weights);

}  // namespace h1bench::cpu
