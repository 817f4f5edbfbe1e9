#include "tasks/custom/template.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/text.h"
#include "tasks/scoring/answers.h"
#include "tasks/scoring/text_match.h"

namespace h1bench::tasks::custom {
namespace {

constexpr std::array<std::string_view, 3> kChanges = {"capitalize", "lower", "strip"};

std::string Changed(const std::string& change, std::string text) {
  if (change == "capitalize") return Capitalize(text);
  if (change == "lower") return Lower(text);
  return change == "strip" ? Strip(text) : text;
}

/// A name that is a number: the place in a list.
std::optional<std::size_t> Index(const std::string& name) {
  std::size_t place = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), place);
  if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return place;
}

/// That member of every item; nothing when one has none.
std::optional<Json> OfEach(const Json::Array& items, const std::string& name) {
  Json list{Json::Array{}};
  for (const Json& item : items) {
    const Json* member = item.Find(name);
    if (member == nullptr) return std::nullopt;
    list.Push(*member);
  }
  return list;
}

}  // namespace

Result<FieldPath> FieldPath::Parse(std::string_view text) {
  const auto refuse = [&] {
    return InvalidArgument("expected a field's name such as question or choices.text, found \"{}\"",
                           VisibleText(text.substr(0, 60)));
  };
  FieldPath path;
  path.text_ = Strip(text);
  if (path.text_.find_first_of("{}|\n") != std::string::npos) return refuse();
  std::string_view rest = path.text_;
  while (true) {
    const std::size_t dot = rest.find('.');
    path.names_.emplace_back(rest.substr(0, dot));
    if (path.names_.back().empty()) return refuse();
    if (dot == std::string_view::npos) return path;
    rest.remove_prefix(dot + 1);
  }
}

std::optional<Json> FieldPath::In(const Json& row) const {
  if (const Json* whole = row.Find(text_)) return *whole;
  Json made;  // rows can be large: only lists that are put together are copied on the way
  const Json* value = &row;
  for (const std::string& name : names_) {
    if (!value->is_array()) {
      value = value->Find(name);
    } else if (const std::optional<std::size_t> place = Index(name)) {
      value = *place < value->as_array().size() ? &value->as_array()[*place] : nullptr;
    } else {
      std::optional<Json> list = OfEach(value->as_array(), name);
      if (!list) return std::nullopt;
      made = std::move(*list);
      value = &made;
    }
    if (value == nullptr) return std::nullopt;
  }
  return *value;
}

Result<std::string> FieldText(const FieldPath& path, const Json& value) {
  if (value.is_string()) return value.as_string();
  if (value.is_number() || value.is_bool()) return WriteJson(value);
  return Corrupt("{}: expected a text or a number, found {}", path.text(), value.TypeName());
}

Result<Template> Template::Parse(std::string_view text) {
  Template out;
  out.source_ = text;
  while (true) {
    const std::size_t open = text.find("{{");
    Piece piece;
    piece.text = text.substr(0, open);
    if (open == std::string_view::npos) {
      out.pieces_.push_back(std::move(piece));
      return out;
    }
    text.remove_prefix(open + 2);
    const std::size_t close = text.find("}}");
    if (close == std::string_view::npos)
      return InvalidArgument("\"{{{{{}\" has no }}}} behind it", VisibleText(text.substr(0, 40)));
    std::string_view inside = text.substr(0, close);
    if (const std::size_t bar = inside.find('|'); bar != std::string_view::npos) {
      piece.change = Strip(inside.substr(bar + 1));
      if (std::find(kChanges.begin(), kChanges.end(), piece.change) == kChanges.end())
        return InvalidArgument("{{{{{}}}}}: unknown \"{}\". Known: {}", VisibleText(inside),
                               VisibleText(piece.change), fmt::join(kChanges, " "));
      inside = inside.substr(0, bar);
    }
    H1_ASSIGN_OR_RETURN(piece.field, FieldPath::Parse(inside));
    out.pieces_.push_back(std::move(piece));
    text.remove_prefix(close + 2);
  }
}

Result<std::string> Template::Render(const Json& row) const {
  std::string out;
  for (const Piece& piece : pieces_) {
    out += piece.text;
    if (!piece.field) continue;
    const std::optional<Json> value = piece.field->In(row);
    if (!value) return NotFound("the field \"{}\" is missing", piece.field->text());
    H1_ASSIGN_OR_RETURN(std::string text, FieldText(*piece.field, *value));
    out += Changed(piece.change, std::move(text));
  }
  return out;
}

std::vector<FieldPath> Template::Fields() const {
  std::vector<FieldPath> fields;
  for (const Piece& piece : pieces_) {
    if (piece.field) fields.push_back(*piece.field);
  }
  return fields;
}

std::string Capitalize(std::string_view text) {
  if (text.empty()) return "";
  std::size_t first = 0;
  const auto point = static_cast<utf8proc_int32_t>(NextCodePoint(text, first));
  std::string out;
  AppendUtf8(out, static_cast<std::uint32_t>(utf8proc_totitle(point)));
  return out + Lower(text.substr(first));
}

}  // namespace h1bench::tasks::custom
