#include <algorithm>
#include <atomic>
#include <thread>

#include "base/sha256.h"
#include "runner/checkpoint/checkpoint.h"

namespace h1bench {
namespace {

/// In pieces, so that the file's pages need not all stay in memory until the end.
std::string HashTensor(std::span<const std::byte> bytes, const ModelWeights& owner) {
  constexpr std::size_t kPiece = 8 << 20;
  Sha256 hash;
  while (!bytes.empty()) {
    const auto piece = bytes.first(std::min(kPiece, bytes.size()));
    hash.Update(piece);
    owner.taken(piece);
    bytes = bytes.subspan(piece.size());
  }
  return hash.FinishHex();
}

/// SHA-256 of every tensor, on all cores.
std::vector<std::string> HashTensors(const std::vector<NamedTensor>& tensors,
                                     const ModelWeights& owner) {
  std::vector<std::string> digests(tensors.size());
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t i = next++; i < tensors.size(); i = next++)
      digests[i] = HashTensor(tensors[i].view.bytes, owner);
  };
  std::vector<std::jthread> threads;
  for (unsigned i = 1; i < std::thread::hardware_concurrency(); ++i) threads.emplace_back(work);
  work();
  threads.clear();
  return digests;
}

}  // namespace

Result<std::string> Checkpoint::Digest() const {
  Sha256 hash;
  hash.UpdateField("h1bench checkpoint 1");
  for (const char* name : {"config.json", "generation_config.json", "tokenizer.json",
                           "tokenizer_config.json", "chat_template.jinja"}) {
    const Result<std::string> text = ReadFile(folder_ / name);
    if (!text.ok() && text.status().code() == StatusCode::kNotFound) continue;
    if (!text.ok()) return text.status();
    hash.UpdateField(name).UpdateField(*text);
  }
  const std::vector<std::string> digests = HashTensors(tensors_, weights_);
  for (std::size_t i = 0; i < tensors_.size(); ++i)
    hash.UpdateField(tensors_[i].name)
        .UpdateField(DTypeName(tensors_[i].view.dtype))
        .UpdateField(ShapeText(tensors_[i].view.shape))
        .UpdateField(digests[i]);
  return hash.FinishHex();
}

}  // namespace h1bench
