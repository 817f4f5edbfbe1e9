#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/status.h"
#include "kernels/model.h"

namespace h1bench {

/// The format: 8 bytes little-endian header length, a JSON header {name: {dtype, shape,
/// data_offsets}}, then the data.
inline constexpr std::size_t kMaxSafetensorsHeader = 100'000'000;  // as the format's own library
inline constexpr std::size_t kMaxTensorName = 256;
inline constexpr std::size_t kMaxTensorRank = 8;

struct NamedTensor {
  std::string name;
  TensorView view;
};

/// Parses a whole file's bytes; the views point into them. `file` is put into errors. Refused: a
/// header that does not fit, unknown keys, duplicate names, zero-size tensors, byte ranges that
/// overlap, leave a gap or do not match dtype and shape, data that does not end with the file,
/// tensors not aligned to their element (no writer makes such), dtypes other than F32, BF16, F16.
/// Sorted by name. Memory is proportional to the header.
Result<std::vector<NamedTensor>> ParseSafetensors(std::span<const std::byte> bytes,
                                                  const std::string& file);

/// One mapped .safetensors file. Copies share the mapping. Thread-safe after Open.
class SafetensorsFile {
 public:
  static Result<SafetensorsFile> Open(const std::filesystem::path& path);
  /// Sorted by name.
  const std::vector<NamedTensor>& tensors() const { return tensors_; }
  /// Null when there is no such tensor.
  const TensorView* Find(std::string_view name) const;
  const std::shared_ptr<MappedFile>& mapping() const { return file_; }

 private:
  std::shared_ptr<MappedFile> file_;
  std::vector<NamedTensor> tensors_;
};

/// Elements of a shape; nothing when a dimension is not positive or the product does not fit.
std::optional<std::int64_t> ElementCount(std::span<const std::int64_t> shape);
/// "[2, 3]".
std::string ShapeText(std::span<const std::int64_t> shape);

}  // namespace h1bench
