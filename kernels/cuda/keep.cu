// What a kept segment leaves in its slot: keys and values, and the inputs that later tokens need.
#include "kernels/cuda/recent.h"

namespace h1bench::H1_CUDA_NAMESPACE {
namespace {

constexpr int kThreads = 256;
/// By a call's size: few rows are shared out among this many blocks each.
constexpr unsigned kParts = 8;
constexpr std::int64_t kFewRows = 512;

/// A block is one of gridDim.y that share a row's work: this thread's place among all of theirs.
H1_DEVICE int Place() {
  return static_cast<int>(blockIdx.y) * kThreads + static_cast<int>(threadIdx.x);
}
H1_DEVICE int Places() { return static_cast<int>(gridDim.y) * kThreads; }

/// A row's keys and values into their page.
template <typename T>
H1_DEVICE void KeepKv(const Dims& d, const StateLayout& layout, const Buffers& buffers,
                      std::byte* page, std::int64_t row, std::int64_t position,
                      std::int64_t layer) {
  const int width = static_cast<int>(d.kv_heads * d.head_dim), hd = static_cast<int>(d.head_dim);
  for (int i = Place(); i < width; i += Places()) {
    std::byte* key = page + layout.key_at(layer, i / hd, position);
    T* to = reinterpret_cast<T*>(key) + i % hd;
    *to = static_cast<const T*>(buffers.k)[row * width + i];
    T* value = reinterpret_cast<T*>(key + d.kv_heads * layout.head_bytes) + i % hd;
    *value = static_cast<const T*>(buffers.v)[row * width + i];
  }
}

/// `tokens` tokens' x, B and time steps to where later calls find the open chunk's, from
/// `in_chunk` on.
H1_DEVICE void KeepTokens(const StateLayout& layout, std::byte* recent, std::int64_t in_chunk,
                          std::int64_t tokens, std::int64_t layer, const Bf16* columns,
                          const float* steps) {
  uint4* to = const_cast<uint4*>(
      reinterpret_cast<const uint4*>(RecentColumns(layout, recent, in_chunk, layer)));
  const std::int64_t pieces = tokens * layout.chunk_columns / 8;
#ifndef H1_CUDA_EMULATION
#pragma unroll 8
#endif
  for (std::int64_t i = Place(); i < pieces; i += Places())
    to[i] = reinterpret_cast<const uint4*>(columns)[i];
  float* to_steps = const_cast<float*>(RecentSteps(layout, recent, in_chunk, layer));
  for (std::int64_t h = Place(); h < tokens * layout.chunk_heads; h += Places())
    to_steps[h] = steps[h];
}

/// The last K - 1 conv inputs become the tail. A thread owns a channel and reads before it writes,
/// so the tail may be rewritten in place.
H1_DEVICE void KeepTail(const Dims& d, const StateLayout& layout, const DeviceSegment& segment,
                        const Buffers& buffers, std::int64_t layer) {
  constexpr int kAtOnce = 3;  // the released models' all: their loads do not wait for each other
  float* tail = reinterpret_cast<float*>(segment.recent_out + layout.tail_at(layer));
  for (std::int64_t c = Place(); c < d.channels; c += Places()) {
    for (std::int64_t first = 0; first < d.taps - 1; first += kAtOnce) {
      // Rows below `first` are never read again: sources of later rows lie further on.
      float kept[kAtOnce];
      H1_UNROLL
      for (int i = 0; i < kAtOnce; ++i) {
        const float* in = first + i >= d.taps - 1
                              ? nullptr
                              : ConvInput(d, layout, segment, buffers.wide,
                                          segment.rows - (d.taps - 1) + first + i, layer);
        kept[i] = in == nullptr ? 0.0F : in[c];
      }
      H1_UNROLL
      for (int i = 0; i < kAtOnce; ++i)
        if (first + i < d.taps - 1) tail[(first + i) * d.channels + c] = kept[i];
    }
  }
}

/// One block (or kParts) a row; the one of a segment's last row also takes what earlier calls left.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    KeepKernel(Dims d, StateLayout layout, DeviceBatch batch, Buffers buffers,
               std::int64_t layer) {
  WaitForKernelBefore();
  const std::int64_t row = blockIdx.x;
  const DeviceSegment segment = batch.segments[batch.segment_of[row]];
  if (segment.recent_out == nullptr) return;
  const std::int64_t position = segment.position + row - segment.first_row;
  KeepKv<T>(d, layout, buffers, batch.pages[segment.first_page + position / kPageTokens], row,
            position, layer);
  const std::int64_t end = segment.position + segment.rows, open = end / kChunk * kChunk;
  if (layout.chunked && position >= open) {
    KeepTokens(layout, segment.recent_out, position - open, 1, layer,
               static_cast<const Bf16*>(buffers.conv) + row * d.channels,
               buffers.dt + row * d.ssm_heads);
  }
  if (position + 1 != end) return;
  KeepTail(d, layout, segment, buffers, layer);
  // The open chunk's tokens of earlier calls come along from a fork's memory.
  if (!layout.chunked || segment.recent_in == segment.recent_out || segment.position <= open)
    return;
  KeepTokens(layout, segment.recent_out, 0, segment.position - open, layer,
             RecentColumns(layout, segment.recent_in, 0, layer),
             RecentSteps(layout, segment.recent_in, 0, layer));
}

}  // namespace

void Keep(const StageContext& c, std::int64_t layer) {
  const LaunchShape rows{
      dim3(static_cast<unsigned>(c.batch.rows), c.batch.rows < kFewRows ? kParts : 1),
      dim3(kThreads), 0, Threads::kIndependent};
  if (c.bf16) {
    Launch("keep", KeepKernel<Bf16>, rows, c.stream, c.dims, c.layout, c.batch, c.buffers, layer);
  } else {
    Launch("keep", KeepKernel<float>, rows, c.stream, c.dims, c.layout, c.batch, c.buffers, layer);
  }
}

}  // namespace h1bench::H1_CUDA_NAMESPACE
