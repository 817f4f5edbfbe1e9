// The table of paths, and each stage's call of the kernel that it names.
#include "kernels/cuda/paths.h"

#include <fmt/format.h>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/scan.h"

namespace h1bench::H1_CUDA_NAMESPACE {
namespace {

bool Fours(std::int64_t columns) { return columns % 4 == 0; }

/// Chunks of 64 columns by the whole state; rows are copied 16 bytes at a time.
bool TakesScanChunked(const Dims& d) {
  return (d.ssm_state == 128 || d.ssm_state == 256) && d.ssm_head_dim % 64 == 0 &&
         d.channels % 8 == 0 && d.wide % 2 == 0 && d.z % 2 == 0;
}
/// The same, and blocks of 128 columns whose heads share B and C.
bool TakesScanWgmma(const Dims& d) {
  return TakesScanChunked(d) && d.ssm_inner / d.ssm_groups % 128 == 0;
}
/// A block has 64 rows of a head at N = 128, 32 at 256; rows are copied 16 bytes at a time.
bool TakesScanStaged(const Dims& d) {
  return Fours(d.channels) && Fours(d.wide) && Fours(d.z) &&
         ((d.ssm_state == 128 && d.ssm_head_dim % 64 == 0) ||
          (d.ssm_state == 256 && d.ssm_head_dim % 32 == 0));
}
bool TakesTensorAttention(const Dims& d) {
  return (d.head_dim == 64 || d.head_dim == 128) && d.heads / d.kv_heads <= kAttentionRows;
}
bool TakesPostInFours(const Dims& d) {
  return d.taps == 4 && Fours(d.channels) && Fours(d.wide) && Fours(d.x) && Fours(d.q) &&
         Fours(d.k) && Fours(d.v) && d.head_dim % 8 == 0;
}
bool TakesNormFours(const Dims& d) { return Fours(d.hidden) && d.hidden <= kLongestFours; }
bool TakesGateNormFours(const Dims& d) {
  const std::int64_t size = d.ssm_inner / d.ssm_groups;
  return Fours(size) && size <= kLongestFours && Fours(d.wide) && Fours(d.z);
}

using enum StageKind;
constexpr bool kBf16 = true, kAny = false, kSm90a = true, kSm80 = false;
constexpr PathRow kTable[] = {
    // stage, path, kernel, precision, card, sizes
    {kProducts, Path::kGemmWgmma, "gemm_wgmma", kBf16, kSm90a, nullptr},
    {kProducts, Path::kGemmMma, "gemm_mma", kBf16, kSm80, nullptr},
    {kProducts, Path::kGemmPlain, "gemm_plain", kAny, kSm80, nullptr},
    {kScan, Path::kScanWgmma, "scan_wgmma", kBf16, kSm90a, TakesScanWgmma},
    {kScan, Path::kScanChunked, "scan_chunked", kBf16, kSm80, TakesScanChunked},
    {kScan, Path::kScanStaged, "scan_staged", kAny, kSm80, TakesScanStaged},
    {kScan, Path::kScanPlain, "scan_plain", kAny, kSm80, nullptr},
    {kAttention, Path::kAttentionWgmma, "attention_wgmma", kBf16, kSm90a, TakesTensorAttention},
    {kAttention, Path::kAttentionMma, "attention_mma", kBf16, kSm80, TakesTensorAttention},
    {kAttention, Path::kAttentionPlain, "attention_plain", kAny, kSm80, nullptr},
    {kPostIn, Path::kPostInFours, "post_in_fours", kAny, kSm80, TakesPostInFours},
    {kPostIn, Path::kPostInPlain, "post_in_plain", kAny, kSm80, nullptr},
    {kNorm, Path::kNormFours, "norm_fours", kAny, kSm80, TakesNormFours},
    {kNorm, Path::kNormPlain, "norm_plain", kAny, kSm80, nullptr},
    {kGateNorm, Path::kGateNormFours, "gate_norm_fours", kAny, kSm80, TakesGateNormFours},
    {kGateNorm, Path::kGateNormPlain, "gate_norm_plain", kAny, kSm80, nullptr},
};

}  // namespace

bool HasSm90aCode() {
#if defined(H1_CUDA_EMULATION) || defined(H1_CUDA_SM90A)
  return true;
#else
  return false;
#endif
}

std::span<const PathRow> PathTable() { return kTable; }

bool Takes(const PathRow& row, const Dims& dims, bool bf16, const Capability& card) {
  if (row.needs_bf16 && !bf16) return false;
  if (row.needs_sm90a && !(card.major == 9 && card.minor == 0 && card.sm90a_code)) return false;
  return row.takes == nullptr || row.takes(dims);
}

const PathRow& ChoosePath(StageKind stage, const Dims& dims, bool bf16, const Capability& card) {
  const PathRow* chosen = nullptr;
  for (const PathRow& row : kTable) {
    if (row.stage != stage) continue;
    chosen = &row;
    if (Takes(row, dims, bf16, card)) break;
  }
  return *chosen;
}

Paths ChoosePaths(const Dims& dims, bool bf16, const Capability& card) {
  const auto choose = [&](StageKind stage) { return ChoosePath(stage, dims, bf16, card).path; };
  return {choose(kProducts), choose(kScan), choose(kAttention),
          choose(kPostIn),   choose(kNorm), choose(kGateNorm)};
}

std::string DescribePaths(const Dims& dims, bool bf16, const Capability& card) {
  std::string out;
  for (const StageKind stage : kStageKinds) {
    if (stage == kGateNorm && !dims.gated_norm) continue;
    out += fmt::format("{}{}", out.empty() ? "" : ", ", ChoosePath(stage, dims, bf16, card).kernel);
  }
  return out;
}

/// What a slot keeps follows from it, and memory is planned without a card: any card's choice, for
/// scan_wgmma keeps what scan_chunked does.
bool HasScanChunked(const ModelShape& shape, bool bf16) {
  return ChoosePath(kScan, Dims(shape), bf16, {}).path == Path::kScanChunked;
}

void Gemm(const GemmArgs& args, Path path, Stream stream) {
  switch (path) {
    case Path::kGemmWgmma:
      return GemmWgmma(args, WgmmaTileFor(args), stream);
    case Path::kGemmMma:
      return GemmMma(args, stream);
    default:
      return GemmPlain(args, false, stream);
  }
}

void Scan(const StageContext& c, const LayerPointers& w, std::int64_t layer) {
  switch (c.paths.scan) {
    case Path::kScanWgmma:
      return ScanWgmma(c, w, layer);
    case Path::kScanChunked:
      return ScanChunked(c, w, layer);
    case Path::kScanStaged:
      return ScanStaged(c, w, layer);
    default:
      return ScanPlain(c, w, layer);
  }
}

void Attend(const StageContext& c, std::int64_t layer) {
  switch (c.paths.attention) {
    case Path::kAttentionWgmma:
      return AttendWgmma(c, layer);
    case Path::kAttentionMma:
      return AttendMma(c, layer);
    default:
      return AttendPlain(c, layer);
  }
}

bool PostInKeeps(const StageContext& c) {
  return c.paths.post_in == Path::kPostInFours && c.batch.step_in_place;
}

void PostIn(const StageContext& c, const LayerPointers& w, std::int64_t layer) {
  c.paths.post_in == Path::kPostInFours ? PostInFours(c, w, layer) : PostInPlain(c, w, layer);
}

void RmsNorm(const StageContext& c, const float* x, const float* weight, std::int64_t rows,
             void* normed) {
  c.paths.norm == Path::kNormFours ? NormFours(c, x, weight, rows, normed)
                                   : NormPlain(c, x, weight, rows, normed);
}

void GateNorm(const StageContext& c, const LayerPointers& w) {
  c.paths.gate_norm == Path::kGateNormFours ? GateNormFours(c, w) : GateNormPlain(c, w);
}

}  // namespace h1bench::H1_CUDA_NAMESPACE
