#include "runner/tokenizer/node.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/text.h"

namespace h1bench::tokenizer {
namespace {

/// A foreign string for a message: visible and short.
std::string Shown(const std::string& text) {
  constexpr std::size_t kMax = 80;
  return QuoteJson(VisibleText(text.size() <= kMax ? text : text.substr(0, kMax) + "..."));
}

}  // namespace

std::string Node::MemberPath(std::string_view key) const {
  return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
}

Status Node::CorruptHere(std::string_view message) const {
  return path_.empty() ? Corrupt("{}", message) : Corrupt("{}: {}", path_, message);
}

Status Node::UnsupportedHere(std::string_view message) const {
  return path_.empty() ? Unsupported("{}", message) : Unsupported("{}: {}", path_, message);
}

Result<Node> Node::Member(std::string_view key) const {
  if (!value_->is_object())
    return CorruptHere(fmt::format("expected an object, found {}", value_->TypeName()));
  const Json* member = value_->Find(key);
  if (member == nullptr) return CorruptHere(fmt::format("member \"{}\" is missing", key));
  return Node(*member, MemberPath(key));
}

Node Node::Optional(std::string_view key) const {
  static const Json null;
  const Json* member = value_->Find(key);
  return {member != nullptr ? *member : null, MemberPath(key)};
}

Result<std::string> Node::String(std::string_view key) const {
  H1_ASSIGN_OR_RETURN(const Node member, Member(key));
  if (!member.json().is_string())
    return member.CorruptHere(fmt::format("expected a string, found {}", member.json().TypeName()));
  return member.json().as_string();
}

Result<bool> Node::Bool(std::string_view key, bool when_absent) const {
  const Node member = Optional(key);
  if (member.is_null()) return when_absent;
  if (!member.json().is_bool())
    return member.CorruptHere(
        fmt::format("expected true or false, found {}", member.json().TypeName()));
  return member.json().as_bool();
}

Result<std::int64_t> Node::Integer(std::string_view key, std::int64_t max) const {
  H1_ASSIGN_OR_RETURN(const Node member, Member(key));
  const Json& json = member.json();
  if (!json.is_integer())
    return member.CorruptHere(fmt::format("expected an integer, found {}", json.TypeName()));
  if (json.as_double() < 0 || json.as_double() > static_cast<double>(max))
    return member.CorruptHere(fmt::format("expected 0 to {}, found {}", max, WriteJson(json)));
  return json.as_int();
}

Result<std::vector<Node>> Node::Items(std::string_view key) const {
  H1_ASSIGN_OR_RETURN(const Node member, Member(key));
  if (!member.json().is_array())
    return member.CorruptHere(fmt::format("expected an array, found {}", member.json().TypeName()));
  std::vector<Node> items;
  for (const Json& item : member.json().as_array())
    items.emplace_back(item, fmt::format("{}[{}]", member.path(), items.size()));
  return items;
}

Status Node::OnlyMembers(std::initializer_list<std::string_view> known) const {
  if (!value_->is_object())
    return CorruptHere(fmt::format("expected an object, found {}", value_->TypeName()));
  for (const auto& [key, value] : value_->as_object())
    if (std::find(known.begin(), known.end(), key) == known.end())
      return UnsupportedHere(
          fmt::format("unknown member {}; known: {}", Shown(key), fmt::join(known, " ")));
  return Status::Ok();
}

Result<std::string> Node::Type(std::string_view what, const std::vector<std::string>& known) const {
  H1_ASSIGN_OR_RETURN(std::string type, String("type"));
  if (std::find(known.begin(), known.end(), type) != known.end()) return type;
  return UnsupportedHere(
      fmt::format("unknown {} {}; known: {}", what, Shown(type), fmt::join(known, " ")));
}

}  // namespace h1bench::tokenizer
