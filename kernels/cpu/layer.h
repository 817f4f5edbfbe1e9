#pragma once

#include "kernels/backend.h"
#include "kernels/cpu/batch.h"
#include "kernels/cpu/weights.h"
#include "kernels/cpu/workspace.h"

/// The stages of one layer over all rows of a batch. Each stage is a loop over rows or over
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

/// cos and sin of position * base^(-2i / hd) for every row, in double until the last step.
void FillAngles(const LayerContext& context);
/// Embedding rows times the embedding multiplier.
void Embed(const LayerContext& context);
/// work.act = RMSNorm(work.x; weight) for the first `rows` rows.
void Norm(const LayerContext& context, const std::vector<float>& weight, std::int64_t rows);
/// In product to both branches' output: leaves work.act (rows, D_in + query_rows). Input: the
/// normed rows in work.act.
void Mix(const LayerContext& context, std::int64_t layer);
/// Adds the mixed branches to work.x for `rows` rows; leaves the MLP's input in work.act.
void AddMixed(const LayerContext& context, const PackedLayer& layer, std::int64_t rows);
/// The MLP of work.act added to work.x; leaves work.act = RMSNorm(work.x; next_norm) unless null.
void AddMlp(const LayerContext& context, const PackedLayer& layer,
            const std::vector<float>* next_norm, std::int64_t rows);
/// Moves the asked rows of work.x and work.act to the front: nobody needs the others after the last
/// Mix.
void KeepAskedRows(const LayerContext& context);

}  // namespace h1bench::cpu
