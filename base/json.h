#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/status.h"

namespace h1bench {

/// A JSON value. Objects keep the order of the file; numbers keep whether they were integers. Value
/// type.
class Json {
 public:
  using Array = std::vector<Json>;
  using Object = std::vector<std::pair<std::string, Json>>;

  Json() = default;
  Json(std::nullptr_t) {}                           // NOLINT: implicit on purpose, as all below
  Json(bool value) : value_(value) {}               // NOLINT
  Json(int value) : value_(std::int64_t{value}) {}  // NOLINT
  Json(std::int64_t value) : value_(value) {}       // NOLINT
  Json(std::uint64_t value) : value_(value) {}      // NOLINT
  Json(double value) : value_(value) {}             // NOLINT
  Json(std::string value) : value_(std::move(value)) {}         // NOLINT
  Json(std::string_view value) : value_(std::string(value)) {}  // NOLINT
  Json(const char* value) : value_(std::string(value)) {}       // NOLINT
  Json(Array value) : value_(std::move(value)) {}               // NOLINT
  Json(Object value) : value_(std::move(value)) {}              // NOLINT

  bool is_null() const { return value_.index() == 0; }
  bool is_bool() const { return std::holds_alternative<bool>(value_); }
  bool is_integer() const { return value_.index() == 2 || value_.index() == 3; }
  bool is_number() const { return is_integer() || std::holds_alternative<double>(value_); }
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  bool is_array() const { return std::holds_alternative<Array>(value_); }
  bool is_object() const { return std::holds_alternative<Object>(value_); }

  /// The typed values; the wrong type aborts (check with is_… first), integers convert to double.
  bool as_bool() const { return std::get<bool>(value_); }
  std::int64_t as_int() const;
  std::uint64_t as_uint() const;
  double as_double() const;
  const std::string& as_string() const { return std::get<std::string>(value_); }
  const Array& as_array() const { return std::get<Array>(value_); }
  Array& as_array() { return std::get<Array>(value_); }
  const Object& as_object() const { return std::get<Object>(value_); }
  Object& as_object() { return std::get<Object>(value_); }

  /// Member of an object, or null (the pointer) when absent or when this is not an object.
  const Json* Find(std::string_view key) const;
  /// Appends or replaces a member; a null value becomes an object first.
  Json& Set(std::string_view key, Json value);
  /// Appends to an array; a null value becomes an array first.
  Json& Push(Json value);

  /// "null", "boolean", "integer", "number", "string", "array" or "object".
  const char* TypeName() const;

  bool operator==(const Json&) const = default;

 private:
  /// Not trivially copyable, on purpose: of alternatives that all move without throwing, libstdc++
  /// 12 concludes that a variant always holds one, and destroys through a wild index when a copy
  /// throws for want of memory.
  struct Null {
    Null() = default;
    Null(const Null&) noexcept {}
    Null& operator=(const Null&) noexcept { return *this; }
    bool operator==(const Null&) const { return true; }
  };
  std::variant<Null, bool, std::int64_t, std::uint64_t, double, std::string, Array, Object> value_;
};

struct JsonOptions {
  int max_depth = 64;            // deeper files are refused: nothing of ours nests that far
  bool allow_nonfinite = false;  // bare NaN, Infinity, -Infinity (Python writes them)
};

/// Parses one document. Refuses duplicate keys, invalid UTF-8, trailing text. Errors carry
/// `line:column`; put the file's name in front with Status::WithContext. Iterative: depth costs no
/// stack.
Result<Json> ParseJson(std::string_view text, const JsonOptions& options = {});

/// Compact form. Deterministic: members in their order, doubles as the shortest text that reads
/// back equal; non-finite doubles as null. `indent` > 0 pretty-prints.
std::string WriteJson(const Json& value, int indent = 0);

/// `text` as a JSON string with its quotes. Invalid UTF-8 becomes U+FFFD.
std::string QuoteJson(std::string_view text);

}  // namespace h1bench
