#include "kernels/cpu/peak.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "kernels/cpu/linear.h"
#include "kernels/cpu/threads.h"
#include "kernels/cpu/weights.h"

namespace h1bench {
namespace {

using Clock = std::chrono::steady_clock;

/// Shortest of `times` runs, in seconds, after one that does not count.
template <typename Body>
double Shortest(int times, const Body& body) {
  body();
  double best = 1e30;
  for (int i = 0; i < times; ++i) {
    const auto start = Clock::now();
    body();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

double MatrixGflops(Precision precision) {
  constexpr std::int64_t kRows = 1024, kSize = 4096;
  const cpu::ActKind kind = cpu::KindFor(precision);
  cpu::ProductCache cache;
  const std::vector<float> ones(static_cast<std::size_t>(kSize * kSize / 2), 1.0F);
  const TensorView view{DType::kF32, {kSize / 2, kSize}, std::as_bytes(std::span(ones))};
  const cpu::MatrixPart part{&view, 0, 0};
  const cpu::Linear linear(cache, kSize / 2, kSize, std::span(&part, 1), kind);
  const cpu::Buffer in(kRows * kSize * cpu::ActBytes(kind)), out(kRows * kSize / 2 * 4);
  std::memset(in.data(), 0, static_cast<std::size_t>(in.size()));
  const double seconds = Shortest(4, [&] { linear.Run(in.data(), out.floats(), kRows); });
  return 1.0 * kRows * kSize * kSize / seconds /
         1e9;  // two for each product, of half of kSize squared
}

double ReadGigabytes() {
  constexpr std::int64_t kBytes = 256LL << 20, kPiece = 1LL << 20;
  const cpu::Buffer memory(kBytes);
  std::memset(memory.data(), 1, static_cast<std::size_t>(kBytes));
  std::vector<std::uint64_t> sums(static_cast<std::size_t>(kBytes / kPiece));
  const double seconds = Shortest(4, [&] {
    cpu::ParallelFor(kBytes / kPiece, [&](std::int64_t piece) {
      const auto* words = reinterpret_cast<const std::uint64_t*>(memory.data() + piece * kPiece);
      std::uint64_t sum[8] = {};
      for (std::int64_t i = 0; i < kPiece / 8; i += 8) {
        for (std::int64_t j = 0; j < 8; ++j) sum[j] ^= words[i + j];
      }
      sums[static_cast<std::size_t>(piece)] =
          sum[0] ^ sum[1] ^ sum[2] ^ sum[3] ^ sum[4] ^ sum[5] ^ sum[6] ^ sum[7];
    });
  });
  return static_cast<double>(kBytes) / seconds / 1e9;
}

}  // namespace

MachinePeak MeasureCpuPeak(Precision precision, int threads) {
  cpu::ThreadPool pool(cpu::ThreadCount(threads));
  const cpu::ThreadScope scope(pool);
  return {MatrixGflops(precision), ReadGigabytes(), "oneDNN matrix product, memory read"};
}

}  // namespace h1bench
