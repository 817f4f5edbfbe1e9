// Pages of the KV cache: each its own piece of memory, in slabs where the driver would round small
// pieces up, and given back with the last of their slab.
#include "kernels/cuda/slots.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace h1bench::H1_CUDA_NAMESPACE {
namespace {

StateLayout Layout() {
  ModelShape s;
  s.layers = 3, s.kv_heads = 2, s.head_dim = 64;
  s.ssm_heads = 1, s.ssm_head_dim = 8, s.ssm_inner = 8, s.ssm_groups = 1, s.ssm_state = 8;
  s.conv_taps = 4, s.heads = 2;
  return {s, true};
}

TEST(CudaSlots, PagesNeverOverlapAndComeBack) {
  const StateLayout layout = Layout();
  Slots slots(layout, 0);
  const auto count = static_cast<std::size_t>(2 * SlabPages(layout.page_bytes) + 3);
  std::vector<std::shared_ptr<DeviceMemory>> pages;
  std::vector<std::byte*> at;
  for (std::size_t i = 0; i < count; ++i) {
    auto page = slots.TakePage();
    ASSERT_TRUE(page.ok()) << page.status().message();
    EXPECT_EQ((*page)->size(), layout.page_bytes);
    at.push_back((*page)->bytes());
    pages.push_back(std::move(*page));
  }
  EXPECT_EQ(slots.kv_bytes(), static_cast<std::int64_t>(count) * layout.page_bytes);
  std::sort(at.begin(), at.end());
  for (std::size_t i = 1; i < at.size(); ++i) EXPECT_GE(at[i] - at[i - 1], layout.page_bytes);
  pages.clear();
  EXPECT_EQ(slots.kv_bytes(), 0);
  const auto again = slots.TakePage();  // one that was handed back, nothing new
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(std::binary_search(at.begin(), at.end(), (*again)->bytes()));
}

TEST(CudaSlots, ASlabHoldsWholePages) {
#ifdef H1_CUDA_EMULATION
  EXPECT_EQ(SlabPages(1000), 1);
#else
  EXPECT_EQ(SlabPages(std::int64_t{18432} * kPageTokens), 56);      // 0.5B in bf16
  EXPECT_EQ(SlabPages(std::int64_t{2} * 147456 * kPageTokens), 3);  // 34B in fp32
  EXPECT_EQ(SlabPages(kPageSlabBytes + 1), 1);
#endif
}

#ifdef H1_CUDA_EMULATION
TEST(CudaSlots, AWholeIsFreedWithItsLastPart) {
  const auto free = [] { return QueryDevice()->free_bytes; };
  const std::int64_t before = free();
  auto whole = std::make_shared<const DeviceMemory>(*DeviceMemory::Allocate(4096));
  DeviceMemory first = DeviceMemory::Part(whole, 0, 1024);
  DeviceMemory second = DeviceMemory::Part(whole, 1024, 3072);
  EXPECT_EQ(second.bytes() - first.bytes(), 1024);
  whole.reset();
  first = DeviceMemory();
  EXPECT_EQ(free(), before - 4096);
  second = DeviceMemory();
  EXPECT_EQ(free(), before);
}
#endif

}  // namespace
}  // namespace h1bench::H1_CUDA_NAMESPACE
