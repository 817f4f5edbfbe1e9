#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"

/// Fields of a data row, and texts with fields in them.
namespace h1bench::tasks::custom {

/// A field by name; dots go into nested values ("answer.value"). In a list a number takes one item
/// and a name takes that member of every item ("choices.text" of [{"text": ..}, ..] is a list).
class FieldPath {
 public:
  /// The error says what was expected and found, without a place.
  static Result<FieldPath> Parse(std::string_view text);
  const std::string& text() const { return text_; }
  /// Nothing when the row has no such field. A member whose name is the whole path comes first.
  std::optional<Json> In(const Json& row) const;

 private:
  std::string text_;
  std::vector<std::string> names_;
};

/// A scalar of a row as text: strings as they are, numbers in decimal, true and false. Else an
/// error without a place.
Result<std::string> FieldText(const FieldPath& path, const Json& value);

/// Text with `{{field}}` in it, each replaced by the row's value. `{{field|capitalize}}`, `|strip`,
/// `|lower` do what Python's methods do. Nothing else is special: no loops, conditions or escapes.
class Template {
 public:
  static Result<Template> Parse(std::string_view text);
  /// Fails when a field is missing or no scalar; without a place.
  Result<std::string> Render(const Json& row) const;
  std::vector<FieldPath> Fields() const;
  /// The template as it was written.
  const std::string& source() const { return source_; }

 private:
  struct Piece {
    std::string text;                // literal, in front of the field
    std::optional<FieldPath> field;  // none in the last piece
    std::string change;              // capitalize, strip, lower or empty
  };
  std::string source_;
  std::vector<Piece> pieces_;
};

/// Python's str.capitalize(), by simple case mapping of each code point.
std::string Capitalize(std::string_view text);

}  // namespace h1bench::tasks::custom
