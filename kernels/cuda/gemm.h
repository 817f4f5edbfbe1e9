#pragma once

#include "kernels/cuda/numerics.h"
#include "kernels/cuda/paths.h"

/// Matrix products: out (rows, n) = in (rows, k) * weight (n, k)^T. Weights lie on the M side of
/// the tensor cores and tokens on the N side, so that every number of tokens uses one instruction
/// and one chain of k16 steps: a number's bits depend on its row and column alone.
namespace h1bench::H1_CUDA_NAMESPACE {

/// k of weights and inputs is padded to this many elements (zeros in the weights; the inputs' must
/// be finite), n of weights to kPadN rows.
inline constexpr std::int64_t kPadK = 64, kPadN = 128;

enum class Epilogue {
  kStore,   // out[row * ldo + n] = v * scale[n] + bias[n] (scale, bias may be null)
  kAdd,     // out[row * ldo + n] += v * factor + bias[n]
  kSwiGlu,  // rows of the weight: 8 of gate, 8 of up, 8 of gate, ... (see SwiGluRow)
};

struct GemmArgs {
  const void* in = nullptr;      // (rows, ldi), fp32 or bf16
  const void* weight = nullptr;  // (RoundUp(n, kPadN), RoundUp(k, kPadK)), of the same type
  std::int64_t rows = 0, n = 0, k = 0, ldi = 0;
  Epilogue epilogue = Epilogue::kStore;
  void* out = nullptr;  // fp32; for kSwiGlu of the inputs' type, n / 2 wide
  std::int64_t ldo = 0;
  const float* scale = nullptr;
  const float* bias = nullptr;     // kSwiGlu: of gate
  const float* bias_up = nullptr;  // kSwiGlu
  float factor = 1;                // kAdd: of v; kSwiGlu: of gate
  std::int64_t columns = 0;        // kSwiGlu: of out that are written
};

/// Row of the packed weight that holds row i of gate (up: + 8).
H1_HOST_DEVICE std::int64_t SwiGluRow(std::int64_t i) { return i / 8 * 16 + i % 8; }

/// One product on the stream by Paths::products: inputs and weights are fp32 for the plain kernel,
/// else bf16.
void Gemm(const GemmArgs& args, Path path, Stream stream);

/// The kernels by themselves, for tests and benchmarks.
void GemmPlain(const GemmArgs& args, bool bf16, Stream stream);  // SIMT, fp32 chain
void GemmMma(const GemmArgs& args, Stream stream);               // mma.sync, bf16
/// A tile of wgmma products: 16, 32, 64, 128 or 256 tokens by 8 to 128 rows of the weight.
struct WgmmaTile {
  int tokens, weights;
};
/// Rows in eights; SwiGLU takes them in sixteens, 256 tokens in 64s.
bool IsWgmmaTile(const WgmmaTile& tile, Epilogue epilogue);
/// The tile with the least predicted time; any choice gives the same bits.
WgmmaTile WgmmaTileFor(const GemmArgs& args);
/// wgmma on Hopper (sm_90a), bf16.
void GemmWgmma(const GemmArgs& args, const WgmmaTile& tile, Stream stream);
/// Tile of tokens that GemmMma takes for so many rows; any choice gives the same bits.
int MmaTokenTile(std::int64_t rows);

#if defined(__CUDACC__) || defined(H1_CUDA_EMULATION)
template <typename In>
H1_DEVICE float SwiGlu(float gate, float up, float factor) {
  return up * Silu(gate * factor, In{});
}

/// Two numbers of one token from the accumulators, at weight rows n and n + 8, to where they go.
template <typename In>
H1_DEVICE void Finish(const GemmArgs& a, std::int64_t row, std::int64_t n, float low, float high) {
  if (row >= a.rows) return;
  if (a.epilogue == Epilogue::kSwiGlu) {
    const std::int64_t i = n / 16 * 8 + n % 8;
    if (i >= a.columns) return;
    float gate = low, up = high;
    if (a.bias != nullptr) gate = gate + a.bias[i];
    if (a.bias_up != nullptr) up = up + a.bias_up[i];
    Store(static_cast<In*>(a.out) + row * a.ldo + i, SwiGlu<In>(gate, up, a.factor));
    return;
  }
  float* out = static_cast<float*>(a.out) + row * a.ldo;
  const float values[2] = {low, high};
  H1_UNROLL
  for (int j = 0; j < 2; ++j) {
    const std::int64_t column = n + 8 * j;
    if (column >= a.n) continue;
    float v = values[j];
    if (a.epilogue == Epilogue::kAdd) {
      v = v * a.factor;
      if (a.bias != nullptr) v = v + a.bias[column];
      out[column] = out[column] + v;
    } else {
      if (a.scale != nullptr) v = v * a.scale[column];
      if (a.bias != nullptr) v = v + a.bias[column];
      out[column] = v;
    }
  }
}

#endif

}  // namespace h1bench::H1_CUDA_NAMESPACE
