#include "kernels/cpu/peak.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <numeric>
#include <vector>

#include "kernels/cpu/buffer.h"
#include "kernels/cpu/threads.h"
#include "kernels/cpu/vector/table.h"

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

/// Multiply-adds of a product's inner loop, on every thread at once.
double MatrixGflops(Precision precision, std::int64_t threads) {
  constexpr std::int64_t kRounds = 200'000, kPieces = 8;
  const auto body =
      precision == Precision::kFp32 ? cpu::Kernels().registers_f32 : cpu::Kernels().registers_bf16;
  std::vector<double> operations(static_cast<std::size_t>(threads * kPieces));
  const double seconds = Shortest(6, [&] {
    cpu::ParallelFor(threads * kPieces, [&](std::int64_t piece) {
      operations[static_cast<std::size_t>(piece)] = body(kRounds);
    });
  });
  return std::accumulate(operations.begin(), operations.end(), 0.0) / seconds / 1e9;
}

double ReadGigabytes() {
  constexpr std::int64_t kBytes = 256LL << 20, kPiece = 512LL << 10;
  const cpu::Buffer memory(kBytes);
  std::memset(memory.data(), 1, static_cast<std::size_t>(kBytes));
  std::vector<std::uint64_t> sums(static_cast<std::size_t>(kBytes / kPiece));
  const double seconds = Shortest(12, [&] {
    cpu::ParallelFor(kBytes / kPiece, [&](std::int64_t piece) {
      sums[static_cast<std::size_t>(piece)] =
          cpu::Kernels().read_all(memory.data() + piece * kPiece, kPiece);
    });
  });
  return static_cast<double>(kBytes) / seconds / 1e9;
}

}  // namespace

MachinePeak MeasureCpuPeak(Precision precision, int threads) {
  cpu::ThreadPool pool(cpu::ThreadCount(threads));
  const cpu::ThreadScope scope(pool);
  return {MatrixGflops(precision, pool.threads()), ReadGigabytes(),
          "multiply-adds on registers, memory read"};
}

}  // namespace h1bench
