#pragma once

#include <cstdint>

#include "kernels/backend.h"
#include "kernels/cpu/buffer.h"
#include "kernels/cpu/slots.h"
#include "kernels/cpu/vector/table.h"

namespace h1bench::cpu {

inline constexpr std::int64_t kHeadRows = 64;  // rows whose V logits exist at one time

/// Bytes of every buffer of one Forward: arithmetic, shared by the plan and the allocation.
struct WorkspaceSizes {
  WorkspaceSizes(const ModelShape& shape, const BackendOptions& options, ActKind kind);
  std::int64_t x, wide, act, conv, y, out, dt, decay, angles, carried, logits, per_thread, threads,
      kv_scratch;
  std::int64_t total() const {
    return x + wide + act + conv + y + out + dt + decay + 2 * angles + carried + logits +
           per_thread * threads + kv_scratch;
  }
};

/// Buffers of one Forward; one Forward at a time. Names: FALCON_H1.md section 0 and PackedLayer.
/// The residual stream and the angles are of all rows, the others of the rows of one block.
struct Workspace {
  explicit Workspace(const WorkspaceSizes& sizes);
  Buffer x;          // (all rows, d): the residual stream
  Buffer wide;       // (rows, max(in columns, 2 I)): result of the in product, then of gate_up
  Buffer act;        // (rows, max(d, D_in + query_rows, I)): input of the next product
  Buffer conv;       // (rows, channels): x, B, C after the conv
  Buffer y;          // (rows, D_in): SSM output
  Buffer out;        // (rows, d): result of out and down
  Buffer dt, decay;  // (rows, Hs): dt, exp(dt * A)
  Buffer cos, sin;   // (all rows, hd / 2)
  Buffer carried;    // twice one layer's SSM state and conv tail: of a segment cut by blocks
  Buffer logits;     // (kHeadRows, V)
  Buffer per_thread;
  Buffer kv_scratch;  // KV blocks of !keep segments, one layer
  std::int64_t thread_bytes;
  std::int64_t bytes;
};

}  // namespace h1bench::cpu
