#include "runner/tokenizer/unicode.h"

#include <oniguruma.h>
#include <utf8proc.h>

#include <cstdlib>
#include <memory>

#include "base/text.h"

namespace h1bench::tokenizer {
namespace {

utf8proc_category_t Category(std::uint32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

bool IsAscii(std::string_view text) {
  for (const char c : text)
    if (static_cast<unsigned char>(c) >= 0x80) return false;
  return true;
}

}  // namespace

bool IsWhitespace(std::uint32_t c) {
  return (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool IsNumeric(std::uint32_t c) {
  if (c < 0x80) return c >= '0' && c <= '9';
  const utf8proc_category_t category = Category(c);
  return category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_NL ||
         category == UTF8PROC_CATEGORY_NO;
}

bool IsPunctuation(std::uint32_t c) {
  if (c < 0x80)
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
           (c >= '{' && c <= '~');
  const utf8proc_category_t category = Category(c);
  return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

bool IsWord(std::uint32_t c) {
  constexpr std::uint32_t kZeroWidthNonJoiner = 0x200C;
  constexpr std::uint32_t kZeroWidthJoiner = 0x200D;
  return c == kZeroWidthNonJoiner || c == kZeroWidthJoiner ||
         ONIGENC_IS_CODE_WORD(ONIG_ENCODING_UTF8, c) != 0;
}

std::string Normalize(std::string_view text, NormalForm form) {
  if (IsAscii(text)) return std::string(text);
  int options = UTF8PROC_STABLE;
  options |=
      form == NormalForm::kNfc || form == NormalForm::kNfkc ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  if (form == NormalForm::kNfkc || form == NormalForm::kNfkd) options |= UTF8PROC_COMPAT;
  utf8proc_uint8_t* mapped = nullptr;
  const utf8proc_ssize_t length = utf8proc_map(
      reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
      static_cast<utf8proc_ssize_t>(text.size()), &mapped, static_cast<utf8proc_option_t>(options));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(mapped, &std::free);
  if (length < 0) return std::string(text);  // only for invalid UTF-8, which does not get here
  return {reinterpret_cast<const char*>(mapped), static_cast<std::size_t>(length)};
}

std::string Lowercase(std::string_view text) {
  constexpr std::uint32_t kCapitalIWithDot = 0x130;  // the one code point whose lower case is two
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const std::uint32_t c = NextCodePoint(text, i);
    if (c == kCapitalIWithDot)
      out += "i\xCC\x87";
    else
      AppendUtf8(out,
                 static_cast<std::uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
  }
  return out;
}

const std::array<std::uint32_t, 256>& ByteToCodePoint() {
  static const std::array<std::uint32_t, 256> table = [] {
    std::array<std::uint32_t, 256> t{};
    std::uint32_t next = 0x100;
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
      t[byte] = printable ? byte : next++;
    }
    return t;
  }();
  return table;
}

int CodePointToByte(std::uint32_t c) {
  constexpr std::uint32_t kEnd = 0x144;  // 256 bytes, 68 of them moved up from U+0100
  static const std::array<std::int16_t, kEnd> table = [] {
    std::array<std::int16_t, kEnd> t{};
    t.fill(-1);
    for (std::uint32_t byte = 0; byte < 256; ++byte)
      t[ByteToCodePoint()[byte]] = static_cast<std::int16_t>(byte);
    return t;
  }();
  return c < kEnd ? table[c] : -1;
}

}  // namespace h1bench::tokenizer
