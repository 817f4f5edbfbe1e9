#include "runner/checkpoint/safetensors_writer.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/json.h"
#include "runner/checkpoint/safetensors.h"

namespace h1bench {
namespace {

/// Header with its length in front, padded with spaces to a multiple of 8 so that the data is
/// aligned.
Result<std::string> MakeHeader(std::span<const TensorSpec> tensors, std::uint64_t& data_size) {
  Json root;
  root.Set("__metadata__", Json(Json::Object{{"format", "pt"}}));
  Json::Object& members = root.as_object();
  for (const TensorSpec& tensor : tensors) {
    const auto count = ElementCount(tensor.shape);
    if (!count)
      return InvalidArgument("tensor {} has the shape {}", tensor.name, ShapeText(tensor.shape));
    if (data_size % DTypeBytes(tensor.dtype) != 0)
      return InvalidArgument("tensor {}: wider elements must be written first", tensor.name);
    const std::uint64_t begin = data_size;
    data_size += static_cast<std::uint64_t>(*count) * DTypeBytes(tensor.dtype);
    Json entry;
    entry.Set("dtype", DTypeName(tensor.dtype));
    entry.Set("shape", Json::Array(tensor.shape.begin(), tensor.shape.end()));
    entry.Set("data_offsets", Json::Array{begin, data_size});
    members.emplace_back(tensor.name, std::move(entry));
  }
  std::string json = WriteJson(root);
  json.append((8 - json.size() % 8) % 8, ' ');
  std::string header(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) header[i] = static_cast<char>(json.size() >> (8 * i) & 0xFF);
  return header + json;
}

}  // namespace

SafetensorsWriter::~SafetensorsWriter() {
  if (file_ != nullptr) unlink(temporary_.c_str());
}

Status SafetensorsWriter::Failure(const char* what) const {
  return IoError("{}: {} failed: {}", temporary_.string(), what, std::strerror(errno));
}

Result<SafetensorsWriter> SafetensorsWriter::Create(const std::filesystem::path& path,
                                                    std::span<const TensorSpec> tensors) {
  SafetensorsWriter writer;
  H1_ASSIGN_OR_RETURN(const std::string header, MakeHeader(tensors, writer.remaining_));
  writer.path_ = path;
  writer.temporary_ = path.string() + ".tmp" + std::to_string(getpid());
  writer.file_.reset(std::fopen(writer.temporary_.c_str(), "wbe"));
  if (writer.file_ == nullptr)
    return IoError("{}: cannot write: {}", writer.temporary_.string(), std::strerror(errno));
  if (std::fwrite(header.data(), 1, header.size(), writer.file_.get()) != header.size())
    return writer.Failure("writing");
  return writer;
}

Status SafetensorsWriter::Append(std::span<const std::byte> bytes) {
  if (bytes.size() > remaining_)
    return Internal("{}: {} bytes more than its header announces", path_.string(),
                    bytes.size() - remaining_);
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) != bytes.size())
    return Failure("writing");
  remaining_ -= bytes.size();
  return Status::Ok();
}

Status SafetensorsWriter::Finish() {
  if (remaining_ != 0)
    return Internal("{}: {} bytes of its data were never written", path_.string(), remaining_);
  if (std::fflush(file_.get()) != 0 || fsync(fileno(file_.get())) != 0) return Failure("writing");
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) return Failure("renaming");
  file_.reset();
  return Status::Ok();
}

Status WriteSafetensors(const std::filesystem::path& path, std::span<const TensorToWrite> tensors) {
  std::vector<TensorSpec> specs;
  for (const TensorToWrite& tensor : tensors) specs.push_back(tensor.spec);
  H1_ASSIGN_OR_RETURN(SafetensorsWriter writer, SafetensorsWriter::Create(path, specs));
  for (const TensorToWrite& tensor : tensors) H1_RETURN_IF_ERROR(writer.Append(tensor.bytes));
  return writer.Finish();
}

}  // namespace h1bench
