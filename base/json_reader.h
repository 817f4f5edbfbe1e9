#pragma once

#define RAPIDJSON_HAS_STDSTRING 1
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wclass-memaccess"
#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>
#pragma GCC diagnostic pop

#include <cstddef>
#include <cstdlib>
#include <new>
#include <string_view>

namespace h1bench {

/// Memory for RapidJSON, which writes to what its allocator returns without a look at it.
class ThrowingAllocator {
 public:
  static constexpr bool kNeedFree = true;
  void* Malloc(std::size_t size) { return size == 0 ? nullptr : Checked(std::malloc(size)); }
  void* Realloc(void* block, std::size_t, std::size_t size) {
    if (size > 0) return Checked(std::realloc(block, size));
    std::free(block);
    return nullptr;
  }
  static void Free(void* block) { std::free(block); }

 private:
  static void* Checked(void* block) {
    if (block == nullptr) throw std::bad_alloc();
    return block;
  }
};

/// Is there a half of a surrogate pair in what RapidJSON made of a string? An escape can spell it,
/// UTF-8 cannot say it, and RapidJSON refuses the first half alone.
inline bool HasHalfPair(std::string_view text) {
  for (std::size_t at = 0; (at = text.find('\xED', at)) != std::string_view::npos; ++at)
    if (at + 1 < text.size() && static_cast<unsigned char>(text[at + 1]) >= 0xA0) return true;
  return false;
}
inline constexpr const char* kHalfPair = "half of a surrogate pair in a string";
/// RapidJSON takes a zero byte for the end of the text.
inline constexpr const char* kZeroByte = "a zero byte";

/// RapidJSON's SAX parser; throws std::bad_alloc when there is no memory.
using JsonReader =
    rapidjson::GenericReader<rapidjson::UTF8<>, rapidjson::UTF8<>, ThrowingAllocator>;

}  // namespace h1bench
