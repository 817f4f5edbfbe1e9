#include "runner/checkpoint/safetensors.h"

#include <algorithm>
#include <numeric>

#include "base/json_reader.h"
#include "base/text.h"

namespace h1bench {
namespace {

/// A header entry as written; nothing believed yet.
struct Entry {
  std::string name;
  std::string dtype;
  std::vector<std::uint64_t> shape, offsets;
  bool has_dtype = false, has_shape = false, has_offsets = false;
};

// No checkpoint comes near; what a header of 100 MB may cost stays under 32 MiB.
constexpr std::size_t kMaxTensors = 1 << 16;

/// Reads the header event by event: a document tree of a hostile 100 MB header would take
/// gigabytes.
class HeaderReader : public rapidjson::BaseReaderHandler<rapidjson::UTF8<>, HeaderReader> {
 public:
  bool Default() {
    return Fail(
        "expected an integer, a string, an object or a list only where the format has them");
  }
  bool Int(int) { return Fail("negative number"); }
  bool Int64(std::int64_t) { return Fail("negative number"); }
  bool Uint(unsigned value) { return Uint64(value); }
  bool Uint64(std::uint64_t value) {
    if (numbers_ == nullptr || !in_list_) return Fail("a number where none belongs");
    if (numbers_->size() >= (numbers_ == &entries_.back().offsets ? 2 : kMaxTensorRank))
      return Fail("too many numbers in \"" + field_ + '"');
    numbers_->push_back(value);
    return true;
  }
  bool String(const char* text, rapidjson::SizeType length, bool) {
    if (HasHalfPair({text, length})) return Fail(kHalfPair);
    if (depth_ != 2 || in_list_) return Fail("a string where none belongs");
    if (in_metadata_) return true;
    if (field_ != "dtype") return Fail("\"" + field_ + "\" must be a list of integers");
    entries_.back().dtype.assign(text, std::min<std::size_t>(length, 32));
    return true;
  }
  bool StartObject() {
    if (depth_ >= 2 || in_list_) return Fail("nested deeper than the format");
    ++depth_;
    return true;
  }
  bool EndObject(rapidjson::SizeType) {
    if (--depth_ == 1 && !in_metadata_) {
      const Entry& entry = entries_.back();
      if (!entry.has_dtype || !entry.has_shape || entry.offsets.size() != 2)
        return Fail("expected dtype, shape and data_offsets [begin, end]");
    }
    in_metadata_ = false;
    return true;
  }
  bool StartArray() {
    if (depth_ != 2 || in_list_ || in_metadata_ || numbers_ == nullptr)
      return Fail("a list where none belongs");
    in_list_ = true;
    return true;
  }
  bool EndArray(rapidjson::SizeType) {
    in_list_ = false;
    return true;
  }
  bool Key(const char* text, rapidjson::SizeType length, bool) {
    const std::string_view key(text, length);
    if (HasHalfPair(key)) return Fail(kHalfPair);
    if (depth_ == 1) return TensorKey(key);
    return in_metadata_ || FieldKey(key);
  }

  std::vector<Entry>& entries() { return entries_; }
  /// Names the tensor that was being read.
  std::string Where() const {
    return entries_.empty() || in_metadata_
               ? ""
               : "tensor \"" + VisibleText(entries_.back().name) + "\": ";
  }
  const std::string& error() const { return error_; }

 private:
  bool Fail(std::string message) {
    error_ = std::move(message);
    return false;
  }
  bool TensorKey(std::string_view key) {
    numbers_ = nullptr;
    if (key == "__metadata__") {
      in_metadata_ = true;
      return true;
    }
    if (key.empty() || key.size() > kMaxTensorName)
      return Fail(fmt::format("a tensor's name of {} bytes (1 to {} are allowed)", key.size(),
                              kMaxTensorName));
    if (entries_.size() == kMaxTensors)
      return Fail(fmt::format("more than {} tensors", kMaxTensors));
    entries_.emplace_back().name = key;
    return true;
  }
  bool FieldKey(std::string_view key) {
    Entry& entry = entries_.back();
    numbers_ = nullptr;
    field_ = key;
    bool* seen = nullptr;
    if (key == "dtype") seen = &entry.has_dtype;
    if (key == "shape") seen = &entry.has_shape, numbers_ = &entry.shape;
    if (key == "data_offsets") seen = &entry.has_offsets, numbers_ = &entry.offsets;
    if (seen == nullptr) return Fail("unknown key \"" + VisibleText(key) + '"');
    if (*seen) return Fail("key \"" + field_ + "\" twice");
    *seen = true;
    return true;
  }

  std::vector<Entry> entries_;
  std::vector<std::uint64_t>* numbers_ = nullptr;
  std::string field_, error_;
  int depth_ = 0;
  bool in_metadata_ = false, in_list_ = false;
};

Result<DType> ParseDType(const std::string& text) {
  if (text == "F32") return DType::kF32;
  if (text == "BF16") return DType::kBF16;
  if (text == "F16") return DType::kF16;
  static constexpr std::string_view kOthers[] = {"F64", "I64", "I32", "I16", "I8",
                                                 "U64", "U32", "U16", "U8",  "BOOL"};
  if (std::find(std::begin(kOthers), std::end(kOthers), text) != std::end(kOthers) ||
      text.starts_with("F8_"))
    return Unsupported("dtype {} is not supported (F32, BF16, F16 are)", text);
  return Corrupt("unknown dtype \"{}\" (expected F32, BF16 or F16)", VisibleText(text));
}

/// Checks one entry against the data's size; `data_start` is the data's offset in the file.
Result<TensorView> MakeView(const Entry& entry, std::span<const std::byte> data,
                            std::size_t data_start) {
  TensorView view;
  H1_ASSIGN_OR_RETURN(view.dtype, ParseDType(entry.dtype));
  for (const std::uint64_t dimension : entry.shape) {
    if (dimension == 0 || dimension > INT64_MAX)
      return Corrupt("dimension {} in the shape", dimension);
    view.shape.push_back(static_cast<std::int64_t>(dimension));
  }
  const std::optional<std::int64_t> count = ElementCount(view.shape);
  std::uint64_t size = 0;
  if (!count ||
      __builtin_mul_overflow(static_cast<std::uint64_t>(*count), DTypeBytes(view.dtype), &size))
    return Corrupt("shape {} has more bytes than 64 bits count", ShapeText(view.shape));
  const std::uint64_t begin = entry.offsets[0];
  const std::uint64_t end = entry.offsets[1];
  if (begin > end || end > data.size())
    return Corrupt("data_offsets [{}, {}] lie outside the {} bytes of data", begin, end,
                   data.size());
  if (end - begin != size)
    return Corrupt("data_offsets [{}, {}] hold {} bytes, {} of shape {} needs {}", begin, end,
                   end - begin, entry.dtype, ShapeText(view.shape), size);
  if ((data_start + begin) % DTypeBytes(view.dtype) != 0)
    return Unsupported(
        "begins at byte {} of the file, not a multiple of its element size; write the file again "
        "with "
        "the safetensors library",
        data_start + begin);
  view.bytes = data.subspan(begin, size);
  return view;
}

/// Every byte of the data belongs to exactly one tensor.
Status CheckCoverage(const std::vector<NamedTensor>& tensors, std::span<const std::byte> data) {
  std::vector<std::size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return tensors[a].view.bytes.data() < tensors[b].view.bytes.data();
  });
  std::size_t end = 0;
  const std::string* previous = nullptr;
  for (const std::size_t i : order) {
    const NamedTensor& tensor = tensors[i];
    const auto begin = static_cast<std::size_t>(tensor.view.bytes.data() - data.data());
    if (begin < end)
      return Corrupt("tensors \"{}\" and \"{}\" overlap at byte {} of the data",
                     VisibleText(*previous), VisibleText(tensor.name), begin);
    if (begin > end)
      return Corrupt("bytes {} to {} of the data belong to no tensor (before \"{}\")", end, begin,
                     VisibleText(tensor.name));
    end = begin + tensor.view.bytes.size();
    previous = &tensor.name;
  }
  if (end != data.size())
    return Corrupt("the tensors end at byte {} of the data, the file has {}", end, data.size());
  return Status::Ok();
}

Result<std::vector<NamedTensor>> Parse(std::span<const std::byte> bytes) {
  if (bytes.size() < 8) return Corrupt("{} bytes are too few for a safetensors file", bytes.size());
  std::uint64_t length = 0;
  for (std::size_t i = 8; i-- > 0;) length = length << 8 | static_cast<std::uint64_t>(bytes[i]);
  if (length > bytes.size() - 8 || length > kMaxSafetensorsHeader)
    return Corrupt(
        "its header claims {} bytes; {} follow and at most {} are allowed (is the download "
        "complete?)",
        length, bytes.size() - 8, kMaxSafetensorsHeader);
  HeaderReader handler;
  JsonReader reader;
  rapidjson::MemoryStream stream(reinterpret_cast<const char*>(bytes.data()) + 8, length);
  constexpr unsigned kFlags =
      rapidjson::kParseIterativeFlag | rapidjson::kParseValidateEncodingFlag;
  const rapidjson::ParseResult parsed = reader.Parse<kFlags>(stream, handler);
  if (!parsed)
    return Corrupt(
        "header, byte {}: {}{}", parsed.Offset(), handler.Where(),
        handler.error().empty() ? rapidjson::GetParseError_En(parsed.Code()) : handler.error());
  if (stream.Tell() != length) return Corrupt("header, byte {}: {}", stream.Tell(), kZeroByte);
  const std::span<const std::byte> data = bytes.subspan(8 + length);
  std::vector<NamedTensor> tensors;
  tensors.reserve(handler.entries().size());
  for (Entry& entry : handler.entries()) {
    Result<TensorView> view = MakeView(entry, data, 8 + length);
    if (!view.ok()) return view.status().WithContext("tensor \"" + VisibleText(entry.name) + '"');
    tensors.push_back({std::move(entry.name), std::move(*view)});
  }
  std::sort(tensors.begin(), tensors.end(),
            [](const NamedTensor& a, const NamedTensor& b) { return a.name < b.name; });
  const auto twice = std::adjacent_find(
      tensors.begin(), tensors.end(),
      [](const NamedTensor& a, const NamedTensor& b) { return a.name == b.name; });
  if (twice != tensors.end())
    return Corrupt("tensor \"{}\" is listed twice", VisibleText(twice->name));
  H1_RETURN_IF_ERROR(CheckCoverage(tensors, data));
  return tensors;
}

}  // namespace

std::optional<std::int64_t> ElementCount(std::span<const std::int64_t> shape) {
  std::int64_t count = 1;
  for (const std::int64_t dimension : shape)
    if (dimension <= 0 || __builtin_mul_overflow(count, dimension, &count)) return std::nullopt;
  return count;
}

std::string ShapeText(std::span<const std::int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape.begin(), shape.end(), ", "));
}

Result<std::vector<NamedTensor>> ParseSafetensors(std::span<const std::byte> bytes,
                                                  const std::string& file) {
  Result<std::vector<NamedTensor>> tensors = Parse(bytes);
  if (!tensors.ok()) return tensors.status().WithContext(file);
  return tensors;
}

Result<SafetensorsFile> SafetensorsFile::Open(const std::filesystem::path& path) {
  H1_ASSIGN_OR_RETURN(MappedFile mapped, MappedFile::Open(path));
  SafetensorsFile file;
  file.file_ = std::make_shared<MappedFile>(std::move(mapped));
  H1_ASSIGN_OR_RETURN(file.tensors_, ParseSafetensors(file.file_->bytes(), path.string()));
  return file;
}

const TensorView* SafetensorsFile::Find(std::string_view name) const {
  const auto found = std::lower_bound(
      tensors_.begin(), tensors_.end(), name,
      [](const NamedTensor& tensor, std::string_view key) { return tensor.name < key; });
  return found != tensors_.end() && found->name == name ? &found->view : nullptr;
}

}  // namespace h1bench
