#include "runner/tokenizer/decoder.h"

#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "runner/tokenizer/replace.h"
#include "runner/tokenizer/unicode.h"

namespace h1bench::tokenizer {
namespace {

/// The bytes that the code points of a token stand for, or the token's own when one of them stands
/// for none.
std::string TokenBytes(const std::string& token) {
  std::string bytes;
  for (std::size_t i = 0; i < token.size();) {
    const int byte = CodePointToByte(NextCodePoint(token, i));
    if (byte < 0) return token;
    bytes += static_cast<char>(byte);
  }
  return bytes;
}

class ByteLevel : public Decoder {
 public:
  void Apply(std::vector<std::string>& tokens) const override {
    std::string bytes;
    for (const std::string& token : tokens) bytes += TokenBytes(token);
    tokens.assign(1, ReplaceInvalidUtf8(bytes));
  }
};

class Fuse : public Decoder {
 public:
  void Apply(std::vector<std::string>& tokens) const override {
    std::string all;
    for (const std::string& token : tokens) all += token;
    tokens.assign(1, all);
  }
};

/// "<0x41>" becomes "A"; a run of such tokens that is not UTF-8 becomes one U+FFFD a byte.
class ByteFallback : public Decoder {
 public:
  void Apply(std::vector<std::string>& tokens) const override {
    std::vector<std::string> out;
    std::string run;
    const auto flush = [&] {
      if (IsValidUtf8(run)) {
        if (!run.empty()) out.push_back(run);
      } else {
        out.insert(out.end(), run.size(), "\xEF\xBF\xBD");
      }
      run.clear();
    };
    for (std::string& token : tokens) {
      if (const int byte = ByteOf(token); byte >= 0) {
        run += static_cast<char>(byte);
        continue;
      }
      flush();
      out.push_back(std::move(token));
    }
    flush();
    tokens = std::move(out);
  }

 private:
  static int ByteOf(const std::string& token) {
    if (token.size() != 6 || token.compare(0, 3, "<0x") != 0 || token.back() != '>') return -1;
    int value = 0;
    const char* const end = token.data() + 5;
    const auto result = std::from_chars(token.data() + 3, end, value, 16);
    return result.ec == std::errc() && result.ptr == end && value >= 0 ? value : -1;
  }
};

/// Takes up to `start` and `stop` times the code point `content` off the two ends of every token.
class Strip : public Decoder {
 public:
  Strip(std::string content, std::int64_t start, std::int64_t stop)
      : content_(std::move(content)), start_(start), stop_(stop) {}
  void Apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) {
      std::string_view rest = token;
      for (std::int64_t i = 0; i < start_ && rest.substr(0, content_.size()) == content_; ++i)
        rest.remove_prefix(content_.size());
      for (std::int64_t i = 0; i < stop_ && rest.size() >= content_.size() &&
                               rest.substr(rest.size() - content_.size()) == content_;
           ++i)
        rest.remove_suffix(content_.size());
      token = std::string(rest);
    }
  }

 private:
  std::string content_;
  std::int64_t start_;
  std::int64_t stop_;
};

class ReplaceAll : public Decoder {
 public:
  explicit ReplaceAll(Replacement replacement) : replacement_(std::move(replacement)) {}
  void Apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) {
      Budget budget(token.size());
      token = replacement_.Apply(std::move(token), budget);
    }
  }

 private:
  Replacement replacement_;
};

Result<std::unique_ptr<Decoder>> ReadStrip(const Node& node) {
  constexpr std::int64_t kMax = 1 << 30;
  H1_RETURN_IF_ERROR(node.OnlyMembers({"type", "content", "start", "stop"}));
  H1_ASSIGN_OR_RETURN(std::string content, node.String("content"));
  if (CountCodePoints(content) != 1)
    return node.Optional("content").CorruptHere("expected one character");
  H1_ASSIGN_OR_RETURN(const std::int64_t start, node.Integer("start", kMax));
  H1_ASSIGN_OR_RETURN(const std::int64_t stop, node.Integer("stop", kMax));
  return std::unique_ptr<Decoder>(std::make_unique<Strip>(std::move(content), start, stop));
}

Result<std::unique_ptr<Decoder>> ReadOne(const Node& node, const std::string& type) {
  if (type == "Strip") return ReadStrip(node);
  if (type == "Replace") {
    H1_ASSIGN_OR_RETURN(Replacement replacement, Replacement::Read(node));
    return std::unique_ptr<Decoder>(std::make_unique<ReplaceAll>(std::move(replacement)));
  }
  if (type == "ByteLevel") {
    H1_RETURN_IF_ERROR(node.OnlyMembers({"type", "add_prefix_space", "trim_offsets", "use_regex"}));
    return std::unique_ptr<Decoder>(std::make_unique<ByteLevel>());
  }
  H1_RETURN_IF_ERROR(node.OnlyMembers({"type"}));
  if (type == "Fuse") return std::unique_ptr<Decoder>(std::make_unique<Fuse>());
  return std::unique_ptr<Decoder>(std::make_unique<ByteFallback>());
}

// Recursion is bounded by the JSON reader's depth limit.
Status Append(const Node& node, Decoders& out) {
  static const std::vector<std::string> kKnown = {"ByteFallback", "ByteLevel", "Fuse",
                                                  "Replace",      "Sequence",  "Strip"};
  H1_ASSIGN_OR_RETURN(const std::string type, node.Type("decoder", kKnown));
  if (type == "Sequence") {
    H1_RETURN_IF_ERROR(node.OnlyMembers({"type", "decoders"}));
    H1_ASSIGN_OR_RETURN(const std::vector<Node> items, node.Items("decoders"));
    for (const Node& item : items) H1_RETURN_IF_ERROR(Append(item, out));
    return Status::Ok();
  }
  H1_ASSIGN_OR_RETURN(std::unique_ptr<Decoder> one, ReadOne(node, type));
  out.push_back(std::move(one));
  return Status::Ok();
}

}  // namespace

Result<Decoders> ReadDecoders(const Node& node) {
  Decoders out;
  if (!node.is_null()) H1_RETURN_IF_ERROR(Append(node, out));
  return out;
}

}  // namespace h1bench::tokenizer
