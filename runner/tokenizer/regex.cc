#include "runner/tokenizer/regex.h"

#include <oniguruma.h>

#include <algorithm>
#include <limits>
#include <mutex>
#include <new>

#include "base/text.h"

namespace h1bench::tokenizer {
namespace {

constexpr std::size_t kMaxPatternBytes = 1 << 16;

void InitializeOnce() {
  static std::once_flag once;
  std::call_once(once, [] {
    OnigEncoding encodings[] = {ONIG_ENCODING_UTF8};
    onig_initialize(encodings, 1);
    onig_set_parse_depth_limit(200);  // the pattern parser recurses
  });
}

const OnigUChar* Bytes(std::string_view text) {
  return reinterpret_cast<const OnigUChar*>(text.data());
}

struct RegionFree {
  void operator()(OnigRegion* region) const { onig_region_free(region, 1); }
};
struct ParamFree {
  void operator()(OnigMatchParam* param) const { onig_free_match_param(param); }
};

/// Far above what a pattern of a real tokenizer needs (a few retries a character), low enough that
/// a hostile one ends.
std::unique_ptr<OnigMatchParam, ParamFree> Limits(std::size_t text_bytes) {
  std::unique_ptr<OnigMatchParam, ParamFree> param(onig_new_match_param());
  if (param == nullptr) throw std::bad_alloc();
  onig_initialize_match_param(param.get());
  const unsigned long retries = 2'000'000UL + 64UL * text_bytes;
  const std::size_t stack =
      std::min<std::size_t>(1'000'000 + 4 * text_bytes, std::numeric_limits<unsigned>::max());
  onig_set_retry_limit_in_match_of_match_param(param.get(), retries);
  onig_set_retry_limit_in_search_of_match_param(param.get(), retries);
  onig_set_match_stack_limit_size_of_match_param(param.get(), static_cast<unsigned>(stack));
  return param;
}

}  // namespace

struct Regex::Impl {
  regex_t* regex = nullptr;
  ~Impl() { onig_free(regex); }
};

Regex::Regex(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;
Regex::~Regex() = default;

Result<Regex> Regex::Compile(const std::string& pattern) {
  InitializeOnce();
  if (pattern.size() > kMaxPatternBytes)
    return Unsupported("regex of {} bytes, at most {} are taken", pattern.size(), kMaxPatternBytes);
  auto impl = std::make_unique<Impl>();
  OnigErrorInfo info{};
  const OnigUChar* begin = Bytes(pattern);
  const int code = onig_new(&impl->regex, begin, begin + pattern.size(), ONIG_OPTION_NONE,
                            ONIG_ENCODING_UTF8, ONIG_SYNTAX_ONIGURUMA, &info);
  if (code == ONIGERR_MEMORY) throw std::bad_alloc();
  if (code != ONIG_NORMAL) {
    OnigUChar message[ONIG_MAX_ERROR_MESSAGE_LEN];
    const int length = onig_error_code_to_str(message, code, &info);
    return Corrupt(
        "regex {} does not compile: {}", VisibleText(pattern.substr(0, 200)),
        std::string(reinterpret_cast<const char*>(message), static_cast<std::size_t>(length)));
  }
  return Regex(std::move(impl));
}

Result<Regex> Regex::Literal(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (std::string_view("\\.+*?()|[]{}^$#&-~").find(c) != std::string_view::npos) escaped += '\\';
    escaped += c;
  }
  return Compile(escaped);
}

bool Regex::FindAll(std::string_view text,
                    const std::function<void(std::size_t, std::size_t)>& on_match) const {
  const std::unique_ptr<OnigRegion, RegionFree> region(onig_region_new());
  if (region == nullptr) throw std::bad_alloc();
  const auto limits = Limits(text.size());
  const OnigUChar* const begin = Bytes(text);
  const OnigUChar* const end = begin + text.size();
  constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();
  std::size_t last_match_end = kNone;
  for (std::size_t from = 0; from <= text.size();) {
    const int found = onig_search_with_param(impl_->regex, begin, end, begin + from, end,
                                             region.get(), ONIG_OPTION_NONE, limits.get());
    if (found == ONIG_MISMATCH) return true;
    if (found == ONIGERR_MEMORY) throw std::bad_alloc();  // no limit: other tokens would come out
    if (found < 0) return false;
    const auto match_begin = static_cast<std::size_t>(region->beg[0]);
    const auto match_end = static_cast<std::size_t>(region->end[0]);
    if (match_begin == match_end && match_end == last_match_end) {
      if (from == text.size()) return true;
      NextCodePoint(text, from);  // an empty match right behind the last one: step over a character
      continue;
    }
    on_match(match_begin, match_end);
    from = last_match_end = match_end;
  }
  return true;
}

}  // namespace h1bench::tokenizer
