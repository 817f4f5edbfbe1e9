#pragma once

#include "base/status.h"
#include "harness/store/store.h"
#include "proto/h1bench.pb.h"

/// What a worker may say. Whoever can connect can send anything; what gets past here can be stored,
/// read back and reported. Every refusal is kInvalidArgument and names message and field, what was
/// expected and what was found. Protobuf itself refuses text that is not UTF-8. Costs time linear
/// in the message and no memory of its size.
namespace h1bench {

inline constexpr std::size_t kMessageNameLimit = 200;        // bytes of worker_name, incarnation
inline constexpr std::size_t kMessageJsonLimit = 256 << 10;  // bytes of environment and memory
inline constexpr int kMessageIdLimit = 8;                    // first_ids, last_ids

Status CheckMessage(const v1::RegisterRequest& request);
Status CheckMessage(const v1::HeartbeatRequest& request);
Status CheckMessage(const v1::LeaseRequest& request);
Status CheckMessage(const v1::DrainRequest& request);
/// By itself: `CheckAnswer` holds each response against what was asked.
Status CheckMessage(const v1::SubmitRequest& request);
/// An answer without an error has one log-likelihood a continuation, or generated text. `sample` is
/// the one with this response's sample_id.
Status CheckAnswer(const v1::Response& response, const SampleRow& sample);

}  // namespace h1bench
