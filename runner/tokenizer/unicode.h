#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

/// Character classes and mappings as the Hugging Face tokenizers library uses them (Rust's char
/// methods, Unicode general categories). All functions are pure. Text is valid UTF-8 everywhere
/// below runner/tokenizer: Encode() makes it so.
namespace h1bench::tokenizer {

/// Unicode property White_Space (Rust's char::is_whitespace).
bool IsWhitespace(std::uint32_t c);
/// General categories Nd, Nl, No (Rust's char::is_numeric).
bool IsNumeric(std::uint32_t c);
/// ASCII punctuation (which includes $ + < = > ^ ` | ~) or general categories Pc Pd Ps Pe Pi Pf Po.
bool IsPunctuation(std::uint32_t c);
/// \w of Unicode TR 18: Alphabetic, Mark, Nd, Pc, Join_Control.
bool IsWord(std::uint32_t c);

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };
std::string Normalize(std::string_view text, NormalForm form);
/// Code point by code point, without context (no final sigma), as Rust's char::to_lowercase.
std::string Lowercase(std::string_view text);

/// GPT-2's bijection between bytes and printable code points: the printable Latin-1 bytes stand for
/// themselves, the others for U+0100, U+0101, … in order ("Ġ" is the space).
const std::array<std::uint32_t, 256>& ByteToCodePoint();
/// The byte that code point `c` stands for, or -1.
int CodePointToByte(std::uint32_t c);

}  // namespace h1bench::tokenizer
