#pragma once

#include <fmt/format.h>

#include <optional>
#include <string>
#include <utility>
#include <variant>

/// One error type for everything that may be expected to go wrong. No exception crosses a module.
namespace h1bench {

/// Kinds of failure. Exit codes: ExitCode() below; gRPC codes: harness/coordinator.
enum class StatusCode {
  kOk,
  kInvalidArgument,     // the user wrote something that cannot be
  kNotFound,            // a file, run, task or model that is not there
  kCorrupt,             // a file that breaks its own format
  kUnsupported,         // valid, but not something this program does
  kIoError,             // the operating system said no
  kFailedPrecondition,  // stale lease, wrong digest, database of a newer version
  kResourceExhausted,   // memory, disk, message size
  kUnavailable,         // a peer that is gone; trying again may help
  kCancelled,           // somebody asked to stop
  kInternal,            // a bug of ours
};

/// Name as printed and as stored in JSON ("invalid_argument").
const char* StatusCodeName(StatusCode code);

/// A code and a sentence for a person: file, place, what was expected, what was found, what to do.
/// Value type; thread-compatible.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}
  static Status Ok() { return {}; }

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }
  /// The same failure with `where: ` in front of the message.
  Status WithContext(const std::string& where) const {
    return ok() ? *this : Status(code_, where + ": " + message_);
  }

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

/// Process exit code of a failure: 0 ok, 2 bad usage or input, 3 not found, 4 corrupt or
/// unsupported file, 5 I/O, memory or a peer gone, 130 cancelled, 70 internal.
int ExitCode(const Status& status);

template <typename... Args>
Status InvalidArgument(fmt::format_string<Args...> format, Args&&... args) {
  return {StatusCode::kInvalidArgument, fmt::format(format, std::forward<Args>(args)...)};
}
template <typename... Args>
Status NotFound(fmt::format_string<Args...> format, Args&&... args) {
  return {StatusCode::kNotFound, fmt::format(format, std::forward<Args>(args)...)};
}
template <typename... Args>
Status Corrupt(fmt::format_string<Args...> format, Args&&... args) {
  return {StatusCode::kCorrupt, fmt::format(format, std::forward<Args>(args)...)};
}
template <typename... Args>
Status Unsupported(fmt::format_string<Args...> format, Args&&... args) {
  return {StatusCode::kUnsupported, fmt::format(format, std::forward<Args>(args)...)};
}
template <typename... Args>
Status IoError(fmt::format_string<Args...> format, Args&&... args) {
  return {StatusCode::kIoError, fmt::format(format, std::forward<Args>(args)...)};
}
template <typename... Args>
Status FailedPrecondition(fmt::format_string<Args...> format, Args&&... args) {
  return {StatusCode::kFailedPrecondition, fmt::format(format, std::forward<Args>(args)...)};
}
template <typename... Args>
Status ResourceExhausted(fmt::format_string<Args...> format, Args&&... args) {
  return {StatusCode::kResourceExhausted, fmt::format(format, std::forward<Args>(args)...)};
}
template <typename... Args>
Status Unavailable(fmt::format_string<Args...> format, Args&&... args) {
  return {StatusCode::kUnavailable, fmt::format(format, std::forward<Args>(args)...)};
}
template <typename... Args>
Status Internal(fmt::format_string<Args...> format, Args&&... args) {
  return {StatusCode::kInternal, fmt::format(format, std::forward<Args>(args)...)};
}

/// A value or the reason why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value)
      : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit on purpose
  Result(Status status) : state_(std::in_place_index<1>, std::move(status)) {}  // NOLINT

  bool ok() const { return state_.index() == 0; }
  Status status() const { return ok() ? Status() : std::get<1>(state_); }
  /// The value; aborts (std::bad_variant_access) when there is none.
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  /// By value, so that `for (x : *Make())` keeps what it walks over alive.
  T operator*() && { return std::get<0>(std::move(state_)); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::variant<T, Status> state_;
};

}  // namespace h1bench

/// Returns from the calling function when `expression` (a Status) failed.
#define H1_RETURN_IF_ERROR(expression) \
  H1_RETURN_IF_ERROR_NAMED(H1_CONCAT(h1_status_, __LINE__), expression)
#define H1_RETURN_IF_ERROR_NAMED(name, expression)                      \
  do {                                                                  \
    if (::h1bench::Status name = (expression); !name.ok()) return name; \
  } while (false)

#define H1_CONCAT_INNER(a, b) a##b
#define H1_CONCAT(a, b) H1_CONCAT_INNER(a, b)
/// `H1_ASSIGN_OR_RETURN(auto x, F());` binds the value of a Result or returns its status.
#define H1_ASSIGN_OR_RETURN(declaration, expression)                                          \
  auto H1_CONCAT(h1_result_, __LINE__) = (expression);                                        \
  if (!H1_CONCAT(h1_result_, __LINE__).ok()) return H1_CONCAT(h1_result_, __LINE__).status(); \
  declaration = std::move(H1_CONCAT(h1_result_, __LINE__)).value()
