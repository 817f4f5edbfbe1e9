#include "runner/tokenizer/post_processor.h"

#include <limits>

#include "base/text.h"

namespace h1bench::tokenizer {
namespace {

using IsToken = std::function<bool(std::int64_t)>;

/// The ids behind the name of a special token of the template.
Result<std::vector<std::int32_t>> ReadSpecial(const Node& names, const std::string& name,
                                              const IsToken& is_token) {
  H1_ASSIGN_OR_RETURN(const Node entry, names.Member(name));
  H1_RETURN_IF_ERROR(entry.OnlyMembers({"id", "ids", "tokens"}));
  H1_ASSIGN_OR_RETURN(const std::vector<Node> items, entry.Items("ids"));
  std::vector<std::int32_t> ids;
  for (const Node& item : items) {
    if (!item.json().is_integer() || !is_token(item.json().as_int()))
      return item.CorruptHere("expected the id of a token, found " +
                              WriteJson(item.json()).substr(0, 80));
    ids.push_back(static_cast<std::int32_t>(item.json().as_int()));
  }
  return ids;
}

Status AppendTemplate(const Node& node, const IsToken& is_token, SpecialIds& out) {
  H1_RETURN_IF_ERROR(node.OnlyMembers({"type", "single", "pair", "special_tokens"}));
  H1_ASSIGN_OR_RETURN(const std::vector<Node> pieces, node.Items("single"));
  std::vector<std::int32_t> before;
  bool text_seen = false;
  for (const Node& piece : pieces) {
    H1_RETURN_IF_ERROR(piece.OnlyMembers({"SpecialToken", "Sequence"}));
    if (const Node sequence = piece.Optional("Sequence"); !sequence.is_null()) {
      H1_ASSIGN_OR_RETURN(const std::string id, sequence.String("id"));
      if (id != "A" || text_seen)
        return sequence.UnsupportedHere("a template for one text has the sequence A once, found " +
                                        QuoteJson(VisibleText(id.substr(0, 80))) +
                                        (text_seen ? " again" : ""));
      text_seen = true;
      continue;
    }
    H1_ASSIGN_OR_RETURN(const Node special, piece.Member("SpecialToken"));
    H1_ASSIGN_OR_RETURN(const std::string name, special.String("id"));
    H1_ASSIGN_OR_RETURN(const Node names, node.Member("special_tokens"));
    H1_ASSIGN_OR_RETURN(const std::vector<std::int32_t> ids, ReadSpecial(names, name, is_token));
    std::vector<std::int32_t>& side = text_seen ? out.after : before;
    side.insert(side.end(), ids.begin(), ids.end());
  }
  if (!text_seen)
    return node.UnsupportedHere("the template has no place for the text (sequence A)");
  out.before.insert(out.before.begin(), before.begin(), before.end());
  return Status::Ok();
}

// Recursion is bounded by the JSON reader's depth limit.
Status Append(const Node& node, const IsToken& is_token, SpecialIds& out) {
  static const std::vector<std::string> kKnown = {"ByteLevel", "Sequence", "TemplateProcessing"};
  H1_ASSIGN_OR_RETURN(const std::string type, node.Type("post-processor", kKnown));
  if (type == "TemplateProcessing") return AppendTemplate(node, is_token, out);
  if (type == "ByteLevel")
    return node.OnlyMembers({"type", "add_prefix_space", "trim_offsets", "use_regex"});
  H1_RETURN_IF_ERROR(node.OnlyMembers({"type", "processors"}));
  H1_ASSIGN_OR_RETURN(const std::vector<Node> items, node.Items("processors"));
  for (const Node& item : items) H1_RETURN_IF_ERROR(Append(item, is_token, out));
  return Status::Ok();
}

}  // namespace

Result<SpecialIds> ReadPostProcessor(const Node& node, const IsToken& is_token) {
  SpecialIds out;
  if (!node.is_null()) H1_RETURN_IF_ERROR(Append(node, is_token, out));
  return out;
}

}  // namespace h1bench::tokenizer
