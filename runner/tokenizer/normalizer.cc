#include "runner/tokenizer/normalizer.h"

#include "base/text.h"
#include "runner/tokenizer/unicode.h"

namespace h1bench::tokenizer {
namespace {

class UnicodeForm : public Normalizer {
 public:
  explicit UnicodeForm(NormalForm form) : form_(form) {}
  std::string Apply(std::string text, Budget&) const override { return Normalize(text, form_); }

 private:
  NormalForm form_;
};

class LowercaseAll : public Normalizer {
 public:
  std::string Apply(std::string text, Budget&) const override { return Lowercase(text); }
};

class Strip : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  std::string Apply(std::string text, Budget&) const override {
    std::size_t begin = text.size();
    std::size_t end = 0;
    for (std::size_t i = 0; i < text.size();) {
      const std::size_t start = i;
      if (IsWhitespace(NextCodePoint(text, i))) continue;
      begin = std::min(begin, start);
      end = i;
    }
    if (begin > end) return {};  // nothing but whitespace: either side strips it all
    if (!left_) begin = 0;
    if (!right_) end = text.size();
    return text.substr(begin, end - begin);
  }

 private:
  bool left_;
  bool right_;
};

class ReplaceAll : public Normalizer {
 public:
  explicit ReplaceAll(Replacement replacement) : replacement_(std::move(replacement)) {}
  std::string Apply(std::string text, Budget& budget) const override {
    return replacement_.Apply(std::move(text), budget);
  }

 private:
  Replacement replacement_;
};

class Prepend : public Normalizer {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}
  std::string Apply(std::string text, Budget&) const override {
    return text.empty() ? text : prefix_ + text;
  }

 private:
  std::string prefix_;
};

Result<std::unique_ptr<Normalizer>> ReadOne(const Node& node, const std::string& type) {
  if (type == "Lowercase") {
    H1_RETURN_IF_ERROR(node.OnlyMembers({"type"}));
    return std::unique_ptr<Normalizer>(std::make_unique<LowercaseAll>());
  }
  if (type == "Strip") {
    H1_RETURN_IF_ERROR(node.OnlyMembers({"type", "strip_left", "strip_right"}));
    H1_ASSIGN_OR_RETURN(const bool left, node.Bool("strip_left", true));
    H1_ASSIGN_OR_RETURN(const bool right, node.Bool("strip_right", true));
    return std::unique_ptr<Normalizer>(std::make_unique<Strip>(left, right));
  }
  if (type == "Prepend") {
    H1_RETURN_IF_ERROR(node.OnlyMembers({"type", "prepend"}));
    H1_ASSIGN_OR_RETURN(std::string prefix, node.String("prepend"));
    return std::unique_ptr<Normalizer>(std::make_unique<Prepend>(std::move(prefix)));
  }
  if (type == "Replace") {
    H1_ASSIGN_OR_RETURN(Replacement replacement, Replacement::Read(node));
    return std::unique_ptr<Normalizer>(std::make_unique<ReplaceAll>(std::move(replacement)));
  }
  H1_RETURN_IF_ERROR(node.OnlyMembers({"type"}));
  const NormalForm form = type == "NFC"    ? NormalForm::kNfc
                          : type == "NFD"  ? NormalForm::kNfd
                          : type == "NFKC" ? NormalForm::kNfkc
                                           : NormalForm::kNfkd;
  return std::unique_ptr<Normalizer>(std::make_unique<UnicodeForm>(form));
}

// Recursion is bounded by the JSON reader's depth limit.
Status Append(const Node& node, Normalizers& out) {
  static const std::vector<std::string> kKnown = {
      "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Prepend", "Replace", "Sequence", "Strip"};
  H1_ASSIGN_OR_RETURN(const std::string type, node.Type("normalizer", kKnown));
  if (type == "Sequence") {
    H1_RETURN_IF_ERROR(node.OnlyMembers({"type", "normalizers"}));
    H1_ASSIGN_OR_RETURN(const std::vector<Node> items, node.Items("normalizers"));
    for (const Node& item : items) H1_RETURN_IF_ERROR(Append(item, out));
    return Status::Ok();
  }
  H1_ASSIGN_OR_RETURN(std::unique_ptr<Normalizer> one, ReadOne(node, type));
  out.push_back(std::move(one));
  return Status::Ok();
}

}  // namespace

Result<Normalizers> ReadNormalizers(const Node& node) {
  Normalizers out;
  if (!node.is_null()) H1_RETURN_IF_ERROR(Append(node, out));
  return out;
}

}  // namespace h1bench::tokenizer
