#include "runner/tokenizer/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <new>

#include "base/text.h"

namespace h1bench::tokenizer {
namespace {

utf8proc_category_t Category(std::uint32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

struct Range {
  std::uint32_t first;
  std::uint32_t last;
};

template <std::size_t kCount>
bool Contains(const Range (&ranges)[kCount], std::uint32_t c) {
  const auto after =
      std::upper_bound(std::begin(ranges), std::end(ranges), c,
                       [](std::uint32_t value, const Range& r) { return value < r.first; });
  return after != std::begin(ranges) && c <= std::prev(after)->last;
}

// Upstream's tables are of other Unicode versions than utf8proc's (15.0). The differences below
// were found by comparing every code point with tokenizers 0.23.3;
// tests/runner/tokenizer_parts_test.cc counts each class.

/// Punctuation since Unicode 8, which upstream does not take for such, but for two that once were.
constexpr Range kNewPunctuation[] = {
    {0x61D, 0x61D},     {0x9FD, 0x9FD},     {0xA76, 0xA76},     {0xC77, 0xC77},
    {0xC84, 0xC84},     {0x166D, 0x166D},   {0x1B7D, 0x1B7E},   {0x2E43, 0x2E4F},
    {0x2E52, 0x2E5D},   {0x10EAD, 0x10EAD}, {0x10F55, 0x10F59}, {0x10F86, 0x10F89},
    {0x111C9, 0x111C9}, {0x1144B, 0x1144F}, {0x1145A, 0x1145B}, {0x1145D, 0x1145D},
    {0x11660, 0x1166C}, {0x116B9, 0x116B9}, {0x1183B, 0x1183B}, {0x11944, 0x11946},
    {0x119E2, 0x119E2}, {0x11A3F, 0x11A46}, {0x11A9A, 0x11A9C}, {0x11A9E, 0x11AA2},
    {0x11B00, 0x11B09}, {0x11C41, 0x11C45}, {0x11C70, 0x11C71}, {0x11EF7, 0x11EF8},
    {0x11F43, 0x11F4F}, {0x11FFF, 0x11FFF}, {0x12FF1, 0x12FF2}, {0x16E97, 0x16E9A},
    {0x16FE2, 0x16FE2}, {0x1E95E, 0x1E95F}};
constexpr std::uint32_t kOldPunctuation[] = {0x166D, 0x111C9};

/// Code points with a (compatibility) decomposition that upstream does not know.
constexpr Range kNewDecompositions[] = {{0x32FF, 0x32FF},   {0xA7F2, 0xA7F4},   {0xAB69, 0xAB69},
                                        {0x10781, 0x10785}, {0x10787, 0x107B0}, {0x107B2, 0x107BA},
                                        {0x11938, 0x11938}, {0x1E030, 0x1E06D}, {0x1F16C, 0x1F16C},
                                        {0x1FBF0, 0x1FBF9}};

/// Lower cases that utf8proc does not know yet: code points and the distance to them.
struct NewCase {
  Range range;
  std::int32_t delta;
};
constexpr NewCase kNewCases[] = {{{0x1C89, 0x1C89}, 1},      {{0xA7CB, 0xA7CB}, 0x264 - 0xA7CB},
                                 {{0xA7CC, 0xA7CC}, 1},      {{0xA7CE, 0xA7CE}, 1},
                                 {{0xA7D2, 0xA7D2}, 1},      {{0xA7D4, 0xA7D4}, 1},
                                 {{0xA7DA, 0xA7DA}, 1},      {{0xA7DC, 0xA7DC}, 0x19B - 0xA7DC},
                                 {{0x10D50, 0x10D65}, 0x20}, {{0x16EA0, 0x16EB8}, 0x1B}};

std::uint32_t LowercaseOf(std::uint32_t c) {
  for (const NewCase& entry : kNewCases)
    if (c >= entry.range.first && c <= entry.range.last)
      return static_cast<std::uint32_t>(static_cast<std::int32_t>(c) + entry.delta);
  return static_cast<std::uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
}

void AppendMapped(std::string_view text, int options, std::string& out) {
  utf8proc_uint8_t* mapped = nullptr;
  const utf8proc_ssize_t length = utf8proc_map(
      reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
      static_cast<utf8proc_ssize_t>(text.size()), &mapped, static_cast<utf8proc_option_t>(options));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(mapped, &std::free);
  if (length == UTF8PROC_ERROR_NOMEM) throw std::bad_alloc();
  if (length < 0)
    out += text;  // only for invalid UTF-8, which does not get here
  else
    out.append(reinterpret_cast<const char*>(mapped), static_cast<std::size_t>(length));
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
  if (Contains(kNewPunctuation, c))
    return std::find(std::begin(kOldPunctuation), std::end(kOldPunctuation), c) !=
           std::end(kOldPunctuation);
  const utf8proc_category_t category = Category(c);
  return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

bool IsWord(std::uint32_t c) {
  // Alphabetic is L, Nl, most marks (all of which count here) and these symbols: circled and
  // squared letters.
  static constexpr Range kAlphabeticSymbols[] = {
      {0x24B6, 0x24E9}, {0x1F130, 0x1F149}, {0x1F150, 0x1F169}, {0x1F170, 0x1F189}};
  static constexpr Range kJoinControl = {0x200C, 0x200D};
  const utf8proc_category_t category = Category(c);
  return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NL) ||
         category == UTF8PROC_CATEGORY_PC || (c >= kJoinControl.first && c <= kJoinControl.last) ||
         Contains(kAlphabeticSymbols, c);
}

std::string Normalize(std::string_view text, NormalForm form) {
  if (IsAscii(text)) return std::string(text);
  int options = UTF8PROC_STABLE;
  options |=
      form == NormalForm::kNfc || form == NormalForm::kNfkc ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  if (form == NormalForm::kNfkc || form == NormalForm::kNfkd) options |= UTF8PROC_COMPAT;
  std::string out;
  std::size_t begin = 0;  // of the text not mapped yet
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t at = i;
    const std::uint32_t c = NextCodePoint(text, i);
    if (!Contains(kNewDecompositions, c) || ((options & UTF8PROC_COMPOSE) != 0 && c == 0x11938))
      continue;
    AppendMapped(text.substr(begin, at - begin), options, out);
    out += text.substr(at, i - at);
    begin = i;
  }
  AppendMapped(text.substr(begin), options, out);
  return out;
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
      AppendUtf8(out, LowercaseOf(c));
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
