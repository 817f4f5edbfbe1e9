// Input: a tokenizer.json, optionally followed by a zero byte and a text. Loading must fail cleanly
// or give a tokenizer whose ids exist, whose answers repeat, and whose decoding is UTF-8.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/text.h"
#include "runner/tokenizer/tokenizer.h"

namespace {

void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "tokenizer_fuzz: %s\n", what);
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  const std::size_t zero = input.find('\0');
  const std::string json = input.substr(0, zero);
  const std::string text = zero == std::string::npos
                               ? "The 12 quick\tfoxes' END. \xC3\xA9\xE4\xB8\xAD <s>"
                               : input.substr(zero + 1, 4096);
  const auto tokenizer = h1bench::Tokenizer::Parse(json, "fuzz");
  if (!tokenizer.ok()) {
    Require(tokenizer.status().message().rfind("fuzz: ", 0) == 0,
            "an error without the file's name");
    Require(h1bench::IsValidUtf8(tokenizer.status().message()), "an error that is not UTF-8");
    return 0;
  }
  const auto ids = tokenizer->Encode(text);
  for (const std::int32_t id : ids)
    Require(id >= 0 && id < tokenizer->vocab_size(), "an id outside the vocabulary");
  Require(ids == tokenizer->Encode(text), "the second answer differs");
  const auto with_special = tokenizer->Encode(text, true);
  Require(with_special.size() >= ids.size(), "special tokens took ids away");
  Require(h1bench::IsValidUtf8(tokenizer->Decode(with_special)), "decoded text is not UTF-8");
  return 0;
}
