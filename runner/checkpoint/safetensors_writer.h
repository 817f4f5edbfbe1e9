#pragma once

#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "kernels/model.h"

namespace h1bench {

/// A tensor to be written; its bytes come later, in the same order.
struct TensorSpec {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;
};

/// Writes one .safetensors file front to back without holding it. The file appears under its name
/// in Finish(); an object that dies earlier leaves nothing. Tensors of wider elements must come
/// first, so that all are aligned.
class SafetensorsWriter {
 public:
  static Result<SafetensorsWriter> Create(const std::filesystem::path& path,
                                          std::span<const TensorSpec> tensors);
  SafetensorsWriter(SafetensorsWriter&&) noexcept = default;
  ~SafetensorsWriter();

  /// The next bytes of the data, cut as the caller likes.
  Status Append(std::span<const std::byte> bytes);
  /// Refuses when not exactly the announced bytes were appended.
  Status Finish();

 private:
  struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  SafetensorsWriter() = default;
  Status Failure(const char* what) const;

  std::filesystem::path path_, temporary_;
  std::unique_ptr<std::FILE, CloseFile> file_;
  std::uint64_t remaining_ = 0;
};

struct TensorToWrite {
  TensorSpec spec;
  std::span<const std::byte> bytes;
};
/// The whole file at once.
Status WriteSafetensors(const std::filesystem::path& path, std::span<const TensorToWrite> tensors);

}  // namespace h1bench
