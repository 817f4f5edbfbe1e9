#include "harness/coordinator/request.h"

#include "base/json.h"
#include "base/planted.h"
#include "base/sha256.h"

namespace h1bench {
namespace {

Json Strings(const std::vector<std::string>& items) {
  Json list{Json::Array{}};
  for (const std::string& item : items) list.Push(item);
  return list;
}

Status ReadStrings(const Json& json, const char* key,
                   google::protobuf::RepeatedPtrField<std::string>* out) {
  const Json* list = json.Find(key);
  if (list == nullptr || !list->is_array())
    return Corrupt("request_json.{}: expected an array", key);
  for (const Json& item : list->as_array()) {
    if (!item.is_string())
      return Corrupt("request_json.{}: expected strings, found {}", key, item.TypeName());
    *out->Add() = item.as_string();
  }
  return Status::Ok();
}

Status ReadRequest(const Json& json, v1::Request& request) {
  H1_RETURN_IF_ERROR(ReadStrings(json, "continuations", request.mutable_continuations()));
  H1_RETURN_IF_ERROR(ReadStrings(json, "stops", request.mutable_stops()));
  const Json* tokens = json.Find("max_new_tokens");
  const Json* temperature = json.Find("temperature");
  const Json* top_p = json.Find("top_p");
  const Json* sampling = json.Find("sampling_key");
  if (tokens == nullptr || !tokens->is_integer() || temperature == nullptr ||
      !temperature->is_number() || top_p == nullptr || !top_p->is_number() || sampling == nullptr ||
      !sampling->is_string()) {
    return Corrupt("request_json: a generation parameter is missing");
  }
  request.set_max_new_tokens(tokens->as_int());
  request.set_temperature(temperature->as_double());
  request.set_top_p(top_p->as_double());
  request.set_sampling_key(sampling->as_string());
  const auto is_on = [&](const char* key) {
    const Json* value = json.Find(key);
    return value != nullptr && value->is_bool() && value->as_bool();
  };
  request.set_add_bos(is_on("add_bos"));
  request.set_bf16_softmax(is_on("bf16_softmax"));
  return Status::Ok();
}

}  // namespace

std::string RequestKey(const RequestIdentity& identity, const tasks::Request& request,
                       const std::string& sampling_key) {
  Sha256 digest;
  digest.UpdateField("h1bench request 1");
  digest.UpdateField(Planted(Bug::kKeyWithoutModel) ? "" : identity.model_digest)
      .UpdateField(identity.precision)
      .UpdateField(identity.engine);
  digest.UpdateField(std::to_string(identity.max_length));
  digest.UpdateField(request.context);
  digest.UpdateField(RequestJson(request, sampling_key));
  digest.UpdateField(std::to_string(identity.repeat));
  return digest.FinishHex();
}

std::string SamplingKey(std::int64_t seed, const std::string& task, const tasks::Document& document,
                        std::int64_t repeat, double temperature) {
  if (temperature <= 0) return "";
  return fmt::format("{}|{}|{}|{}|{}", seed, task, document.subset, document.index, repeat);
}

std::string RequestJson(const tasks::Request& request, const std::string& sampling_key) {
  Json json{Json::Object{}};
  json.Set("continuations", Strings(request.continuations));
  json.Set("stops", Strings(request.stops));
  json.Set("max_new_tokens", request.max_new_tokens);
  json.Set("temperature", request.temperature);
  json.Set("top_p", request.top_p);
  json.Set("sampling_key", sampling_key);
  // Only where it is on, so that the keys of older databases go on being found.
  if (request.add_bos) json.Set("add_bos", true);
  if (request.bf16_softmax) json.Set("bf16_softmax", true);
  return WriteJson(json);
}

Result<v1::Request> ToWire(const SampleRow& sample) {
  const std::string place = fmt::format("sample {}", sample.id);
  const Result<Json> json = ParseJson(sample.request_json);
  if (!json.ok()) return json.status().WithContext(place);
  v1::Request request;
  if (const Status status = ReadRequest(*json, request); !status.ok())
    return status.WithContext(place);
  request.set_key(sample.request_key);
  request.set_sample_id(sample.id);
  request.set_context(sample.prompt);
  return request;
}

ResponseRow FromWire(const v1::Response& response, const std::string& worker) {
  ResponseRow row;
  row.key = response.key();
  row.text = response.text();
  row.loglikelihoods.assign(response.loglikelihoods().begin(), response.loglikelihoods().end());
  row.is_greedy.assign(response.is_greedy().begin(), response.is_greedy().end());
  row.prompt_tokens = response.prompt_tokens();
  row.generated_tokens = response.generated_tokens();
  row.truncated_tokens = response.truncated_tokens();
  row.reused_tokens = response.reused_tokens();
  for (const std::uint32_t id : response.first_ids())
    row.first_ids.push_back(static_cast<std::int32_t>(id));
  for (const std::uint32_t id : response.last_ids())
    row.last_ids.push_back(static_cast<std::int32_t>(id));
  row.finish = response.finish();
  row.error = response.error();
  row.queue_seconds = response.queue_seconds();
  row.prefill_seconds = response.prefill_seconds();
  row.decode_seconds = response.decode_seconds();
  for (const std::uint32_t us : response.inter_token_us())
    row.inter_token_us.push_back(static_cast<std::int32_t>(us));
  row.worker = worker;
  return row;
}

tasks::Response ToTask(const ResponseRow& response) {
  return {response.text, response.loglikelihoods, response.is_greedy};
}

}  // namespace h1bench
