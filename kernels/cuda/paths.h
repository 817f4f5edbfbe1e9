#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "kernels/cuda/platform.h"

/// Which kernel runs: one table, by stage, card, precision and the model's sizes. Never by a call,
/// for the kernels of a stage may differ in their last bits; a call's size only chooses among tiles
/// of one kernel, whose bits are the same (MmaTokenTile, WgmmaTileFor, scan_step, post_in's rows).
namespace h1bench::H1_CUDA_NAMESPACE {

struct Dims;

/// The stages of a Forward that have more than one kernel.
enum class StageKind { kProducts, kScan, kAttention, kPostIn, kNorm, kGateNorm };
inline constexpr StageKind kStageKinds[] = {StageKind::kProducts,  StageKind::kScan,
                                            StageKind::kAttention, StageKind::kPostIn,
                                            StageKind::kNorm,      StageKind::kGateNorm};

enum class Path {
  kGemmWgmma,
  kGemmMma,
  kGemmPlain,
  kScanWgmma,
  kScanChunked,
  kScanStaged,
  kScanPlain,
  kAttentionWgmma,
  kAttentionMma,
  kAttentionPlain,
  kPostInFours,
  kPostInPlain,
  kNormFours,
  kNormPlain,
  kGateNormFours,
  kGateNormPlain,
};

/// What the table asks of a card.
struct Capability {
  int major = 8, minor = 0;
  bool sm90a_code = true;  // this build has code for sm_90a (HasSm90aCode)
};
/// Whether the kernels of this build were compiled for sm_90a; without, such cards run sm_80's.
bool HasSm90aCode();

/// A row of the table. A stage's rows stand together, the fastest first; the first that takes the
/// model on the card runs. The last takes everything: the plain kernel, the others' twin.
struct PathRow {
  StageKind stage;
  Path path;
  const char* kernel;          // its name at launch begins so
  bool needs_bf16;             // else either precision
  bool needs_sm90a;            // else sm_80 and newer
  bool (*takes)(const Dims&);  // null: any sizes that the backend takes
};
std::span<const PathRow> PathTable();
/// Whether the row's kernel can run such a model on such a card.
bool Takes(const PathRow& row, const Dims& dims, bool bf16, const Capability& card);
/// The row that runs.
const PathRow& ChoosePath(StageKind stage, const Dims& dims, bool bf16, const Capability& card);

/// A model's kernels on a card; as it stands, the plain ones.
struct Paths {
  Path products = Path::kGemmPlain;
  Path scan = Path::kScanPlain;
  Path attention = Path::kAttentionPlain;
  Path post_in = Path::kPostInPlain;
  Path norm = Path::kNormPlain;
  Path gate_norm = Path::kGateNormPlain;
};
Paths ChoosePaths(const Dims& dims, bool bf16, const Capability& card);
/// The kernels of ChoosePaths: "gemm_wgmma, scan_wgmma, attention_wgmma, ...".
std::string DescribePaths(const Dims& dims, bool bf16, const Capability& card);

}  // namespace h1bench::H1_CUDA_NAMESPACE
