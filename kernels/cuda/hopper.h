#pragma once

#include "kernels/cuda/hopper_host.h"
#include "kernels/cuda/tensor.h"

/// Thin wrappers of what Hopper (sm_90a) adds: the bulk tensor copy engine, barriers in shared
/// memory that count bytes, warpgroup products (wgmma.h). The host definitions do the same at once.
namespace h1bench::H1_CUDA_NAMESPACE {

#if defined(__CUDACC__) || defined(H1_CUDA_EMULATION)
/// A thread's way through a ring of slots that barriers guard: the slot of its next turn, and the
/// parity of the turn's phase.
struct Ring {
  int slots, slot = 0, phase = 0;
  H1_DEVICE void Next() {
    if (++slot == slots) slot = 0, phase ^= 1;
  }
};
#endif

#ifdef H1_CUDA_EMULATION

#define __grid_constant__
}  // namespace h1bench::H1_CUDA_NAMESPACE
namespace h1bench::emulation {
/// Calls f(byte in the tile, where it belongs or null past the end) for every element of a tile.
template <typename Function>
void EachOfTile(const cuda_emulated::TensorFacts& map, int column, int row, const Function& f) {
  const int row_bytes = map.box_columns * map.element;
  for (int r = 0; r < map.box_rows; ++r) {
    for (int c = 0; c < map.box_columns; ++c) {
      const int at = c * map.element;
      const bool inside = row + r < map.rows && column + c < map.columns;
      auto* const base = static_cast<std::byte*>(const_cast<void*>(map.base));
      f(cuda_emulated::TileByte(row_bytes, r, at / 16) + at % 16,
        inside ? base + ((row + r) * map.ld + column + c) * map.element : nullptr);
    }
  }
}
}  // namespace h1bench::emulation
namespace h1bench::H1_CUDA_NAMESPACE {

/// Arrivals still missing and bytes still on their way in this phase, and the phase.
struct alignas(8) Barrier {
  std::int16_t missing, expected;
  std::int32_t bytes_phase;  // bytes << 1 | phase
};
H1_DEVICE void BarrierFlip(Barrier& b) {
  if (b.missing == 0 && b.bytes_phase >> 1 == 0) {
    b.missing = b.expected;
    b.bytes_phase ^= 1;
  }
}
H1_DEVICE void BarrierInit(Barrier* b, int arrivals) {
  *b = {static_cast<std::int16_t>(arrivals), static_cast<std::int16_t>(arrivals), 0};
}
H1_DEVICE void BarrierInitFence() {}
H1_DEVICE void BarrierArrive(Barrier* b) {
  --b->missing;
  BarrierFlip(*b);
}
H1_DEVICE void BarrierExpect(Barrier* b, int bytes) {
  b->bytes_phase += bytes * 2;
  BarrierArrive(b);
}
H1_DEVICE void BarrierWait(Barrier* b, int phase) {
  while ((b->bytes_phase & 1) == phase) emulation::Poll();
}
H1_DEVICE void CopyTile(unsigned char* shared, const TensorMap* map, int column, int row,
                        Barrier* barrier) {
  emulation::EachOfTile(*map, column, row, [&](int byte, std::byte* at) {
    at == nullptr ? std::memset(shared + byte, 0, static_cast<std::size_t>(map->element))
                  : std::memcpy(shared + byte, at, static_cast<std::size_t>(map->element));
  });
  barrier->bytes_phase -= map->box_rows * map->box_columns * map->element * 2;
  BarrierFlip(*barrier);
}
H1_DEVICE void CopyPanels(unsigned char* shared, const TensorMap* map, int panel, int row,
                          Barrier* barrier) {
  for (int i = 0; i < map->box_panels; ++i) {
    CopyTile(shared + i * map->box_rows * map->box_columns * map->element, map,
             (panel + i) * map->box_columns, row, barrier);
  }
}
H1_DEVICE void StoreTile(const unsigned char* shared, const TensorMap* map, int column, int row) {
  emulation::EachOfTile(*map, column, row, [&](int byte, std::byte* at) {
    if (at != nullptr) std::memcpy(at, shared + byte, static_cast<std::size_t>(map->element));
  });
}
H1_DEVICE void AddTile(const unsigned char* shared, const TensorMap* map, int column, int row) {
  emulation::EachOfTile(*map, column, row, [&](int byte, std::byte* at) {
    if (at == nullptr) return;
    float sum, more;
    std::memcpy(&sum, at, 4);
    std::memcpy(&more, shared + byte, 4);
    sum += more;
    std::memcpy(at, &sum, 4);
  });
}
H1_DEVICE void StoreFence() {}
H1_DEVICE void CopyArrive(Barrier* b) { BarrierArrive(b); }
H1_DEVICE void StoreCommit() {}
template <int kLeft>
H1_DEVICE void StoreReadWait() {}
H1_DEVICE void StoreWait() {}
H1_DEVICE void GroupBarrier(int id) { emulation::NamedBarrier(id, 128); }
H1_DEVICE void WgmmaFence() {}
H1_DEVICE void WgmmaCommit() {}
template <int kLeft>
H1_DEVICE void WgmmaWait() {}
template <int kRegisters>
H1_DEVICE void FewerRegisters() {}
template <int kRegisters>
H1_DEVICE void MoreRegisters() {}

#elif defined(__CUDACC__)

using Barrier = std::uint64_t;
H1_DEVICE unsigned SharedAddress(const void* p) {
  return static_cast<unsigned>(__cvta_generic_to_shared(p));
}
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
H1_DEVICE void BarrierInit(Barrier* b, int arrivals) {
  asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(SharedAddress(b)), "r"(arrivals));
}
/// After all inits, before the copy engine or other threads use them.
H1_DEVICE void BarrierInitFence() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
H1_DEVICE void BarrierArrive(Barrier* b) {
  asm volatile("mbarrier.arrive.shared.b64 _, [%0];" ::"r"(SharedAddress(b)) : "memory");
}
/// Arrives, and lets the phase wait for so many copied bytes.
H1_DEVICE void BarrierExpect(Barrier* b, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" ::"r"(SharedAddress(b)),
               "r"(bytes)
               : "memory");
}
/// Until the phase of this parity is over.
H1_DEVICE void BarrierWait(Barrier* b, int phase) {
  asm volatile(
      "{\n.reg .pred done;\nWAIT:\n"
      "mbarrier.try_wait.parity.shared.b64 done, [%0], %1;\n@done bra DONE;\nbra WAIT;\nDONE:\n}" ::
          "r"(SharedAddress(b)),
      "r"(phase)
      : "memory");
}
H1_DEVICE void CopyTile(unsigned char* shared, const TensorMap* map, int column, int row,
                        Barrier* barrier) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, "
      "{%3, %4}], [%2];" ::"r"(SharedAddress(shared)),
      "l"(map), "r"(SharedAddress(barrier)), "r"(column), "r"(row)
      : "memory");
}
/// A map's panels from `panel` on in one copy, the tiles one after the other; those past the end
/// come as zeros.
H1_DEVICE void CopyPanels(unsigned char* shared, const TensorMap* map, int panel, int row,
                          Barrier* barrier) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, "
      "{0, %3, %4}], [%2];" ::"r"(SharedAddress(shared)),
      "l"(map), "r"(SharedAddress(barrier)), "r"(row), "r"(panel)
      : "memory");
}
/// A tile from shared memory to its place, or added to what is there (fp32; one rounding). By one
/// thread, after StoreFence by all that wrote and a barrier; done after StoreWait of that thread,
/// read after StoreReadWait.
H1_DEVICE void StoreTile(const unsigned char* shared, const TensorMap* map, int column, int row) {
  asm volatile(
      "cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%0, {%2, %3}], [%1];" ::"l"(map),
      "r"(SharedAddress(shared)), "r"(column), "r"(row)
      : "memory");
}
H1_DEVICE void AddTile(const unsigned char* shared, const TensorMap* map, int column, int row) {
  asm volatile(
      "cp.reduce.async.bulk.tensor.2d.global.shared::cta.add.tile.bulk_group [%0, {%2, %3}], "
      "[%1];" ::"l"(map),
      "r"(SharedAddress(shared)), "r"(column), "r"(row)
      : "memory");
}
/// Orders what ordinary accesses to shared memory did before with what the copy engine and
/// warpgroup products do after; in the thread that wrote, or in one that waited for it.
H1_DEVICE void StoreFence() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
/// Arrives once this thread's CopyAsync16 so far are there.
H1_DEVICE void CopyArrive(Barrier* b) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(SharedAddress(b))
               : "memory");
}
H1_DEVICE void StoreCommit() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }
template <int kLeft>
H1_DEVICE void StoreReadWait() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(kLeft) : "memory");
}
H1_DEVICE void StoreWait() { asm volatile("cp.async.bulk.wait_group 0;" ::: "memory"); }
/// A barrier of one warpgroup; `id` from 1 on.
H1_DEVICE void GroupBarrier(int id) { asm volatile("bar.sync %0, 128;" ::"r"(id) : "memory"); }
#endif
#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
H1_DEVICE void WgmmaFence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
H1_DEVICE void WgmmaCommit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int kLeft>
H1_DEVICE void WgmmaWait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kLeft) : "memory");
}
template <int kRegisters>
H1_DEVICE void FewerRegisters() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
H1_DEVICE void MoreRegisters() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
#endif

#endif

}  // namespace h1bench::H1_CUDA_NAMESPACE
