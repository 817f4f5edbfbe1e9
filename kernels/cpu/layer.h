#pragma once

#include "kernels/backend.h"
#include "kernels/cpu/batch.h"
#include "kernels/cpu/weights.h"
#include "kernels/cpu/workspace.h"

/// The stages of one layer over the rows of one block. Each stage is a loop over rows or over
/// (segment, head); between them stand the matrix products. Order and formulas: FALCON_H1.md
/// sections 0 to 4.
namespace h1bench::cpu {

struct LayerContext {
  const ModelShape& shape;
  const StateLayout& layout;
  const PackedModel& model;
  const VectorKernels& kernels;
  Workspace& work;
  Batch& batch;
};

/// Rows of work.x whose activations lie at the front of the block's buffers.
struct RowRange {
  std::int64_t first, count;
};

/// cos and sin of position * base^(-2i / hd) for every row, in double until the last step.
void FillAngles(const LayerContext& context);
/// Embedding rows times the embedding multiplier.
void Embed(const LayerContext& context);
/// work.act = RMSNorm(work.x; weight).
void Norm(const LayerContext& context, const std::vector<float>& weight, RowRange rows);
/// In product to both branches' output: leaves work.act (rows, D_in + query_rows). Input: the
/// block's normed rows in work.act.
void Mix(const LayerContext& context, const RowBlock& block, std::int64_t layer);
/// Adds the mixed branches to work.x; leaves the MLP's input in work.act.
void AddMixed(const LayerContext& context, const PackedLayer& layer, RowRange rows);
/// The MLP of work.act added to work.x; leaves work.act = RMSNorm(work.x; next_norm) unless null.
void AddMlp(const LayerContext& context, const PackedLayer& layer,
            const std::vector<float>* next_norm, RowRange rows);
/// Moves the block's asked rows of work.x behind those of the blocks before, and of work.act to the
/// front; returns where they are. Nobody needs the others after the last Mix.
RowRange KeepAskedRows(const LayerContext& context, const RowBlock& block);

}  // namespace h1bench::cpu
