// ParseSafetensors on arbitrary bytes. What it accepts must keep its promises: sorted unique names,
// views inside the data, aligned, sizes that match dtype and shape, no byte used twice or left
// over; and writing it back reads the same.
#include <cstdint>
#include <cstdlib>
#include <set>

#include "runner/checkpoint/safetensors.h"

namespace {

void Demand(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace h1bench;
  // As a mapping: aligned to more than any element.
  std::vector<std::uint64_t> aligned((size + 7) / 8);
  std::byte* begin = reinterpret_cast<std::byte*>(aligned.data());
  for (std::size_t i = 0; i < size; ++i) begin[i] = static_cast<std::byte>(data[i]);
  const auto tensors = ParseSafetensors({begin, size}, "fuzz");
  if (!tensors.ok()) {
    Demand(tensors.status().message().starts_with("fuzz: "));
    return 0;
  }
  std::uint64_t length = 0;
  for (std::size_t i = 8; i-- > 0;) length = length << 8 | data[i];
  const std::byte* start = begin + 8 + length;
  std::size_t covered = 0;
  std::set<const std::byte*> starts;
  for (std::size_t i = 0; i < tensors->size(); ++i) {
    const NamedTensor& tensor = (*tensors)[i];
    Demand(!tensor.name.empty() && tensor.name.size() <= kMaxTensorName);
    Demand(i == 0 || (*tensors)[i - 1].name < tensor.name);
    const auto count = ElementCount(tensor.view.shape);
    Demand(count.has_value());
    Demand(static_cast<std::size_t>(*count) * DTypeBytes(tensor.view.dtype) ==
           tensor.view.bytes.size());
    Demand(tensor.view.bytes.data() >= start &&
           tensor.view.bytes.data() + tensor.view.bytes.size() <= begin + size);
    Demand(reinterpret_cast<std::uintptr_t>(tensor.view.bytes.data()) %
               DTypeBytes(tensor.view.dtype) ==
           0);
    Demand(starts.insert(tensor.view.bytes.data()).second);
    covered += tensor.view.bytes.size();
  }
  Demand(covered == size - 8 - length);
  return 0;
}
