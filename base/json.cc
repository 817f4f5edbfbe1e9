#include "base/json.h"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <unordered_set>

#include "base/json_reader.h"
#include "base/text.h"

namespace h1bench {
namespace {

// Values and keys of one document: a large tokenizer has 1.3 million. A value of two bytes takes a
// hundred as a tree, so that a file's size says little about what reading it costs.
constexpr std::size_t kMaxValues = std::size_t{4} << 20;

/// Builds the value from SAX events on an explicit stack.
class Builder : public rapidjson::BaseReaderHandler<rapidjson::UTF8<>, Builder> {
 public:
  explicit Builder(int max_depth) : max_depth_(max_depth) {}

  bool Null() { return Add(Json()); }
  bool Bool(bool value) { return Add(Json(value)); }
  /// The number's text, NUL-terminated. RapidJSON 1.1.0's own exact conversion answers garbage for
  /// 0e-200 and infinity for 1.7976931348623159e308, so the standard library converts.
  bool RawNumber(const char* text, rapidjson::SizeType length, bool) {
    const char* end = text + length;
    const std::string_view number(text, length);
    if (number.find_first_of(".eEnN") == std::string_view::npos) {  // n: NaN, Infinity
      std::int64_t integer = 0;
      if (std::from_chars(text, end, integer).ec == std::errc()) return Add(Json(integer));
      std::uint64_t large = 0;
      if (std::from_chars(text, end, large).ec == std::errc()) return Add(Json(large));
    }
    double value = 0;
    if (std::from_chars(text, end, value).ec == std::errc()) return Add(Json(value));
    value = std::strtod(text, nullptr);  // out of range: 0 when too small
    return std::isfinite(value) ? Add(Json(value)) : Fail("number too large for a double");
  }
  bool String(const char* text, rapidjson::SizeType length, bool) {
    return HasHalfPair({text, length}) ? Fail(kHalfPair) : Add(Json(std::string(text, length)));
  }
  bool StartObject() { return Open(Json(Json::Object{})); }
  bool StartArray() { return Open(Json(Json::Array{})); }
  bool EndObject(rapidjson::SizeType) { return Close(); }
  bool EndArray(rapidjson::SizeType) { return Close(); }
  bool Key(const char* text, rapidjson::SizeType length, bool) {
    if (!Count()) return false;
    if (HasHalfPair({text, length})) return Fail(kHalfPair);
    Frame& top = stack_.back();
    top.key.assign(text, length);
    if (!top.seen.insert(top.key).second) return Fail("duplicate key " + QuoteJson(top.key));
    return true;
  }

  const std::string& error() const { return error_; }
  Json& root() { return root_; }

 private:
  struct Frame {
    Json value;
    std::string key;
    std::unordered_set<std::string> seen;
  };

  bool Fail(std::string message) {
    error_ = std::move(message);
    return false;
  }
  bool Count() {
    return ++values_ <= kMaxValues || Fail(fmt::format("more than {} values", kMaxValues));
  }
  bool Add(Json value) {
    if (!Count()) return false;
    if (stack_.empty()) {
      root_ = std::move(value);
    } else if (Frame& top = stack_.back(); top.value.is_array()) {
      top.value.as_array().push_back(std::move(value));
    } else {
      top.value.as_object().emplace_back(std::move(top.key), std::move(value));
    }
    return true;
  }
  bool Open(Json value) {
    if (static_cast<int>(stack_.size()) >= max_depth_)
      return Fail("nested deeper than " + std::to_string(max_depth_));
    stack_.push_back({std::move(value), {}, {}});
    return true;
  }
  bool Close() {
    Json value = std::move(stack_.back().value);
    stack_.pop_back();
    return Add(std::move(value));
  }

  int max_depth_;
  std::size_t values_ = 0;
  std::vector<Frame> stack_;
  Json root_;
  std::string error_;
};

std::string Position(std::string_view text, std::size_t offset) {
  offset = std::min(offset, text.size());
  std::size_t line = 1;
  std::size_t start = 0;
  for (std::size_t i = 0; i < offset; ++i) {
    if (text[i] != '\n') continue;
    ++line;
    start = i + 1;
  }
  return std::to_string(line) + ":" + std::to_string(offset - start + 1);
}

void WriteDouble(double value, std::string& out) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value).ptr;
  const std::string_view text(buffer, static_cast<std::size_t>(end - buffer));
  out += text;
  if (text.find_first_of(".e") == std::string_view::npos) out += ".0";
}

void Newline(std::string& out, int indent, int depth) {
  if (indent <= 0) return;
  out += '\n';
  out.append(static_cast<std::size_t>(indent * depth), ' ');
}

void Write(const Json& value, int indent, int depth, std::string& out);

template <typename Items, typename One>
void WriteItems(const Items& items, char open, char close, int indent, int depth, std::string& out,
                One write_one) {
  out += open;
  bool first = true;
  for (const auto& item : items) {
    if (!first) out += ',';
    first = false;
    Newline(out, indent, depth + 1);
    write_one(item);
  }
  if (!items.empty()) Newline(out, indent, depth);
  out += close;
}

void Write(const Json& value, int indent, int depth, std::string& out) {
  if (value.is_null()) {
    out += "null";
  } else if (value.is_bool()) {
    out += value.as_bool() ? "true" : "false";
  } else if (value.is_integer()) {
    out += value.as_double() < 0 ? std::to_string(value.as_int()) : std::to_string(value.as_uint());
  } else if (value.is_number()) {
    WriteDouble(value.as_double(), out);
  } else if (value.is_string()) {
    out += QuoteJson(value.as_string());
  } else if (value.is_array()) {
    WriteItems(value.as_array(), '[', ']', indent, depth, out,
               [&](const Json& item) { Write(item, indent, depth + 1, out); });
  } else {
    WriteItems(value.as_object(), '{', '}', indent, depth, out, [&](const auto& member) {
      out += QuoteJson(member.first);
      out += indent > 0 ? ": " : ":";
      Write(member.second, indent, depth + 1, out);
    });
  }
}

}  // namespace

std::int64_t Json::as_int() const {
  if (const auto* number = std::get_if<std::uint64_t>(&value_))
    return static_cast<std::int64_t>(*number);
  return std::get<std::int64_t>(value_);
}

std::uint64_t Json::as_uint() const {
  if (const auto* number = std::get_if<std::int64_t>(&value_))
    return static_cast<std::uint64_t>(*number);
  return std::get<std::uint64_t>(value_);
}

double Json::as_double() const {
  if (const auto* number = std::get_if<std::int64_t>(&value_)) return static_cast<double>(*number);
  if (const auto* number = std::get_if<std::uint64_t>(&value_)) return static_cast<double>(*number);
  return std::get<double>(value_);
}

const Json* Json::Find(std::string_view key) const {
  if (!is_object()) return nullptr;
  for (const auto& [name, value] : as_object())
    if (name == key) return &value;
  return nullptr;
}

Json& Json::Set(std::string_view key, Json value) {
  if (is_null()) value_ = Object{};
  for (auto& [name, old] : as_object()) {
    if (name != key) continue;
    old = std::move(value);
    return *this;
  }
  as_object().emplace_back(std::string(key), std::move(value));
  return *this;
}

Json& Json::Push(Json value) {
  if (is_null()) value_ = Array{};
  as_array().push_back(std::move(value));
  return *this;
}

const char* Json::TypeName() const {
  static constexpr const char* kNames[] = {"null",   "boolean", "integer", "integer",
                                           "number", "string",  "array",   "object"};
  return kNames[value_.index()];
}

Result<Json> ParseJson(std::string_view text, const JsonOptions& options) {
  constexpr unsigned kFlags = rapidjson::kParseIterativeFlag |
                              rapidjson::kParseNumbersAsStringsFlag |
                              rapidjson::kParseValidateEncodingFlag;
  Builder builder(options.max_depth);
  JsonReader reader;
  rapidjson::MemoryStream stream(text.data(), text.size());
  const rapidjson::ParseResult result =
      options.allow_nonfinite
          ? reader.Parse<kFlags | rapidjson::kParseNanAndInfFlag>(stream, builder)
          : reader.Parse<kFlags>(stream, builder);
  if (!result) {
    const std::string reason =
        builder.error().empty() ? rapidjson::GetParseError_En(result.Code()) : builder.error();
    return Corrupt("{}: not valid JSON: {}", Position(text, result.Offset()), reason);
  }
  if (stream.Tell() != text.size())
    return Corrupt("{}: not valid JSON: {}", Position(text, stream.Tell()), kZeroByte);
  return std::move(builder.root());
}

std::string WriteJson(const Json& value, int indent) {
  std::string out;
  Write(value, indent, 0, out);
  return out;
}

std::string QuoteJson(std::string_view text) {
  std::string fixed;
  if (!IsValidUtf8(text)) {
    fixed = ReplaceInvalidUtf8(text);
    text = fixed;
  }
  std::string out = "\"";
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20)
          out += fmt::format("\\u{:04x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
        else
          out += c;
    }
  }
  return out + '"';
}

}  // namespace h1bench
