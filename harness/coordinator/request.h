#pragma once

#include <string>

#include "base/status.h"
#include "harness/store/store.h"
#include "proto/h1bench.pb.h"
#include "tasks/task.h"

/// A request in its three forms: as a task builds it, as the store keeps it (request_json), as it
/// goes over the wire.
namespace h1bench {

/// Everything that decides the bits of an answer.
struct RequestIdentity {
  std::string model_digest, precision;
  std::string engine;  // ModelSource::Identity()
  std::int64_t max_length = 0;
  std::int64_t repeat = 0;
};

/// Content address: SHA-256 (hex) over length-prefixed fields, so that no two requests can share
/// one by accident.
std::string RequestKey(const RequestIdentity& identity, const tasks::Request& request,
                       const std::string& sampling_key);

/// Keys the sampler: a function of (seed, task, subset, document, repeat) and nothing else. Empty
/// for greedy requests.
std::string SamplingKey(std::int64_t seed, const std::string& task, const tasks::Document& document,
                        std::int64_t repeat, double temperature);

/// SampleRow::request_json: everything but the context.
std::string RequestJson(const tasks::Request& request, const std::string& sampling_key);
/// A stored sample as a worker gets it. Errors (a damaged database) name the sample.
Result<v1::Request> ToWire(const SampleRow& sample);
/// A worker's answer as it is stored.
ResponseRow FromWire(const v1::Response& response, const std::string& worker);
tasks::Response ToTask(const ResponseRow& response);

}  // namespace h1bench
