#include "harness/coordinator/messages.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/json.h"
#include "harness/coordinator/request.h"

namespace h1bench {
namespace {

constexpr std::int64_t kTokenLimit = std::int64_t{1} << 40;  // far beyond any context
constexpr int kLeaseIdLimit = 1000;                          // a worker holds a few
constexpr std::size_t kFailureLimit = 64 << 10;

Status CheckLength(const char* field, const std::string& text, std::size_t least,
                   std::size_t most) {
  if (text.size() >= least && text.size() <= most) return Status::Ok();
  return InvalidArgument("{}: expected {} to {} bytes, found {}", field, least, most, text.size());
}

template <typename Message>
Status CheckSender(const Message& message) {
  H1_RETURN_IF_ERROR(CheckLength("worker_name", message.worker_name(), 1, kMessageNameLimit));
  return CheckLength("incarnation", message.incarnation(), 1, kMessageNameLimit);
}

/// Empty, or an object that the report can read.
Status CheckJson(const char* field, const std::string& text) {
  if (text.empty()) return Status::Ok();
  H1_RETURN_IF_ERROR(CheckLength(field, text, 0, kMessageJsonLimit));
  const Result<Json> json = ParseJson(text);
  if (!json.ok())
    return InvalidArgument("{}: expected a JSON object: {}", field, json.status().message());
  if (!json->is_object())
    return InvalidArgument("{}: expected a JSON object, found {}", field, json->TypeName());
  return Status::Ok();
}

Status CheckIds(const char* field, const google::protobuf::RepeatedField<std::uint32_t>& ids) {
  if (ids.size() > kMessageIdLimit)
    return InvalidArgument("{}: expected at most {}, found {}", field, kMessageIdLimit, ids.size());
  for (const std::uint32_t id : ids) {
    if (id > std::uint32_t{std::numeric_limits<std::int32_t>::max()})
      return InvalidArgument("{}: expected token ids below 2147483648, found {}", field, id);
  }
  return Status::Ok();
}

Status CheckNumbers(const v1::Response& response) {
  const std::array<std::pair<const char*, std::int64_t>, 4> counts = {
      {{"prompt_tokens", response.prompt_tokens()},
       {"generated_tokens", response.generated_tokens()},
       {"truncated_tokens", response.truncated_tokens()},
       {"reused_tokens", response.reused_tokens()}}};
  for (const auto& [field, count] : counts) {
    if (count < 0 || count > kTokenLimit)
      return InvalidArgument("{}: expected 0 to {}, found {}", field, kTokenLimit, count);
  }
  const std::array<std::pair<const char*, double>, 3> times = {
      {{"queue_seconds", response.queue_seconds()},
       {"prefill_seconds", response.prefill_seconds()},
       {"decode_seconds", response.decode_seconds()}}};
  for (const auto& [field, seconds] : times) {
    if (!(seconds >= 0 && std::isfinite(seconds)))
      return InvalidArgument("{}: expected seconds from 0 on, found {}", field, seconds);
  }
  const std::int64_t gaps = response.inter_token_us_size();
  if (gaps != 0 && gaps != response.generated_tokens() - 1)
    return InvalidArgument(
        "inter_token_us: expected {} (one fewer than generated tokens) or none, found {}",
        std::max<std::int64_t>(0, response.generated_tokens() - 1), gaps);
  for (const std::uint32_t us : response.inter_token_us()) {
    if (us > std::uint32_t{std::numeric_limits<std::int32_t>::max()})
      return InvalidArgument("inter_token_us: expected microseconds below 2147483648, found {}",
                             us);
  }
  return Status::Ok();
}

Status CheckResponse(const v1::Response& response) {
  H1_RETURN_IF_ERROR(CheckLength("key", response.key(), 1, kMessageNameLimit));
  H1_RETURN_IF_ERROR(CheckNumbers(response));
  H1_RETURN_IF_ERROR(CheckIds("first_ids", response.first_ids()));
  H1_RETURN_IF_ERROR(CheckIds("last_ids", response.last_ids()));
  for (const double value : response.loglikelihoods()) {
    // Minus infinity is the logarithm of a probability of 0. The store has no word for the others.
    if (std::isnan(value) || value == std::numeric_limits<double>::infinity())
      return InvalidArgument("loglikelihoods: expected numbers below infinity, found {}", value);
  }
  if (response.loglikelihoods_size() != response.is_greedy_size()) {
    return InvalidArgument("is_greedy: expected one for each of {} loglikelihoods, found {}",
                           response.loglikelihoods_size(), response.is_greedy_size());
  }
  const std::string& finish = response.finish();
  if (!finish.empty() && finish != "stop" && finish != "eos" && finish != "length")
    return InvalidArgument("finish: expected stop, eos, length or nothing, found {}",
                           QuoteJson(finish.substr(0, 40)));
  return Status::Ok();
}

}  // namespace

Status CheckMessage(const v1::RegisterRequest& request) {
  const auto check = [&]() -> Status {
    H1_RETURN_IF_ERROR(CheckSender(request));
    H1_RETURN_IF_ERROR(CheckLength("identity", request.identity(), 0, 1000));
    H1_RETURN_IF_ERROR(
        CheckLength("self_test_failure", request.self_test_failure(), 0, kFailureLimit));
    return CheckJson("environment_json", request.environment_json());
  };
  return check().WithContext("Register");
}

Status CheckMessage(const v1::HeartbeatRequest& request) {
  const auto check = [&]() -> Status {
    H1_RETURN_IF_ERROR(CheckSender(request));
    if (request.lease_ids_size() <= kLeaseIdLimit) return Status::Ok();
    return InvalidArgument("lease_ids: expected at most {}, found {}", kLeaseIdLimit,
                           request.lease_ids_size());
  };
  return check().WithContext("Heartbeat");
}

Status CheckMessage(const v1::LeaseRequest& request) {
  const auto check = [&]() -> Status {
    H1_RETURN_IF_ERROR(CheckSender(request));
    if (request.held_lease_ids_size() <= kLeaseIdLimit) return Status::Ok();
    return InvalidArgument("held_lease_ids: expected at most {}, found {}", kLeaseIdLimit,
                           request.held_lease_ids_size());
  };
  return check().WithContext("Lease");
}

Status CheckMessage(const v1::DrainRequest& request) {
  const auto check = [&]() -> Status {
    H1_RETURN_IF_ERROR(CheckSender(request));
    return CheckLength("failure", request.failure(), 0, kFailureLimit);
  };
  return check().WithContext("Drain");
}

Status CheckMessage(const v1::SubmitRequest& request) {
  const auto check = [&]() -> Status {
    H1_RETURN_IF_ERROR(CheckSender(request));
    H1_RETURN_IF_ERROR(CheckJson("memory_json", request.memory_json()));
    H1_RETURN_IF_ERROR(CheckLength("probe", request.probe(), 0, kMessageNameLimit));
    for (int i = 0; i < request.responses_size(); ++i) {
      if (Status status = CheckResponse(request.responses(i)); !status.ok())
        return {status.code(), fmt::format("responses[{}].{}", i, status.message())};
    }
    return Status::Ok();
  };
  return check().WithContext("Submit");
}

Status CheckAnswer(const v1::Response& response, const SampleRow& sample) {
  if (!response.error().empty()) return Status::Ok();
  H1_ASSIGN_OR_RETURN(const Json asked, ParseJson(sample.request_json));
  const Json* continuations = asked.Find("continuations");
  const std::size_t expected =
      continuations != nullptr && continuations->is_array() ? continuations->as_array().size() : 0;
  const auto found = static_cast<std::size_t>(response.loglikelihoods_size());
  if (found == expected) return Status::Ok();
  return InvalidArgument(
      "Submit: the answer to sample {}: expected {} loglikelihoods, one a continuation, found {}",
      sample.id, expected, found);
}

}  // namespace h1bench
