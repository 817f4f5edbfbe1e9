#include "runner/estimate/random_weights.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "runner/checkpoint/layout.h"

namespace h1bench {
namespace {

constexpr std::size_t kBlock = std::size_t{2} << 20;
constexpr std::size_t kLargest = std::size_t{2} << 30;  // bytes of one tensor

std::size_t Bytes(const std::vector<std::int64_t>& dims) {
  std::size_t bytes = 2;
  for (const std::int64_t dimension : dims) bytes *= static_cast<std::size_t>(dimension);
  return bytes;
}

/// Values of 0.004 to 0.03 of either sign: numbers of a model, no infinities on the way.
void Fill(std::byte* block) {
  std::uint32_t random = 12345;
  for (std::size_t i = 0; i < kBlock; i += 2) {
    random = random * 1664525U + 1013904223U;
    const auto value =
        static_cast<std::uint16_t>((random >> 16 & 0x8000U) | (0x3B80U + (random >> 23)));
    std::memcpy(block + i, &value, 2);
  }
}

/// `bytes`, a multiple of kBlock, that are the same block again and again; null where the system
/// refuses.
std::byte* MapRepeated(std::size_t bytes) {
  void* const all = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED) return nullptr;
  const int file = memfd_create("h1bench-random-weights", MFD_CLOEXEC);
  bool good = file >= 0 && ftruncate(file, kBlock) == 0;
  auto* const begin = static_cast<std::byte*>(all);
  for (std::size_t i = 0; good && i < bytes; i += kBlock)
    good = mmap(begin + i, kBlock, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) !=
           MAP_FAILED;
  if (file >= 0) close(file);
  if (good) return begin;
  munmap(all, bytes);
  return nullptr;
}

}  // namespace

Result<RandomWeights> RandomWeights::Make(const ModelShape& shape) {
  RandomWeights out;
  out.shape_ = shape;
  std::size_t most = 0;
  ModelWeights weights;
  H1_RETURN_IF_ERROR(VisitTensors(out.Shape(1, shape.vocab), weights,
                                  [&](const auto&, const auto& dims, TensorView&) {
                                    most = std::max(most, Bytes(dims));
                                    return Status::Ok();
                                  }));
  if (most > kLargest) return Unavailable("a tensor of {} bytes is too big to measure with", most);
  most = (most + kBlock - 1) / kBlock * kBlock;
  std::byte* const memory = MapRepeated(most);
  if (memory == nullptr) return Unavailable("no memory of {} bytes to measure with", most);
  out.bytes_ =
      std::shared_ptr<std::byte>(memory, [most](std::byte* begin) { munmap(begin, most); });
  Fill(out.bytes_.get());
  return out;
}

ModelShape RandomWeights::Shape(std::int64_t layers, std::int64_t vocab) const {
  ModelShape shape = shape_;
  shape.layers = layers;
  shape.vocab = std::min(vocab, shape_.vocab);
  shape.max_positions = 0;  // no limit: small models are asked for more than they admit
  return shape;
}

Result<ModelWeights> RandomWeights::Weights(const ModelShape& shape) const {
  ModelWeights weights;
  H1_RETURN_IF_ERROR(
      VisitTensors(shape, weights, [&](const auto&, const auto& dims, TensorView& view) {
        view = {DType::kBF16, dims, std::span(bytes_.get(), Bytes(dims))};
        return Status::Ok();
      }));
  if (shape.tied_embeddings) weights.lm_head = weights.embedding;
  return weights;
}

}  // namespace h1bench
