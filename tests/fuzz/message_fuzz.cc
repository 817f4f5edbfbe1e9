// Bytes of a SubmitRequest, as a worker sends them. What protobuf reads and CheckMessage lets pass
// can be stored: through the store's own texts every number comes back bit for bit.
#include <google/protobuf/stubs/logging.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string>

#include "base/json.h"
#include "harness/coordinator/messages.h"
#include "harness/coordinator/request.h"
#include "harness/coordinator/wire.h"
#include "harness/store/sqlite_store.h"

namespace {

using namespace h1bench;

void Demand(bool condition) {
  if (!condition) std::abort();
}

void CheckStored(const ResponseRow& row) {
  const auto numbers = ParseJson(EncodeDoubles(row.loglikelihoods));
  Demand(numbers.ok() && numbers->as_array().size() == row.loglikelihoods.size());
  for (std::size_t i = 0; i < row.loglikelihoods.size(); ++i) {
    const Json& item = numbers->as_array()[i];
    const double back =
        item.is_null() ? -std::numeric_limits<double>::infinity() : item.as_double();
    // An integer such as -0 or -2 comes back as the same number.
    Demand(back == row.loglikelihoods[i]);
  }
  Demand(EncodeFlags(row.is_greedy).size() == row.loglikelihoods.size());
  for (const auto* ids : {&row.first_ids, &row.last_ids}) {
    Demand(ids->size() <= kMessageIdLimit);
    for (const std::int32_t id : *ids) Demand(id >= 0);
  }
  Demand(row.inter_token_us.empty() || std::ssize(row.inter_token_us) == row.generated_tokens - 1);
  for (const std::int32_t us : row.inter_token_us) Demand(us >= 0);
  for (const std::int64_t count :
       {row.prompt_tokens, row.generated_tokens, row.truncated_tokens, row.reused_tokens})
    Demand(count >= 0);
  for (const double seconds : {row.queue_seconds, row.prefill_seconds, row.decode_seconds})
    Demand(std::isfinite(seconds) && seconds >= 0);
}

template <typename Message>
void Check(const std::string& bytes, const char* name) {
  Message message;
  Status status = ReadMessage(bytes, message);
  // What the first look refuses is too much of something or nothing for protobuf either.
  if (status.ok()) status = CheckMessage(message);
  if (status.ok()) {
    Demand(!message.worker_name().empty() && message.worker_name().size() <= kMessageNameLimit);
    return;
  }
  Demand(status.code() == StatusCode::kInvalidArgument);
  Demand(status.message().starts_with(name) && status.message().size() < 2000);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  const google::protobuf::LogSilencer quiet;
  Check<v1::RegisterRequest>(bytes, "Register: ");
  Check<v1::HeartbeatRequest>(bytes, "Heartbeat: ");
  Check<v1::DrainRequest>(bytes, "Drain: ");
  Check<v1::SubmitRequest>(bytes, "Submit: ");
  v1::SubmitRequest request;
  if (!ReadMessage(bytes, request).ok() || !CheckMessage(request).ok()) return 0;
  Demand(request.responses_size() <= kMessageAnswerLimit);
  SampleRow sample;
  sample.request_json = RequestJson({"", {" A", " B"}, {}, 0, 0, 1}, "");
  for (const v1::Response& response : request.responses()) {
    const ResponseRow row = FromWire(response, request.worker_name());
    CheckStored(row);
    if (CheckAnswer(response, sample).ok())
      Demand(!row.error.empty() || row.loglikelihoods.size() == 2);
  }
  return 0;
}
