// Messages that must be refused, each with its exact words, and none of which leaves a trace.
#include "harness/coordinator/messages.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "harness/coordinator/wire.h"
#include "tests/fakes/fake_clock.h"
#include "tests/harness/coordinator_fixture.h"

namespace h1bench {
namespace {

using testing::StoredRun;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// A worker that holds a lease of two samples.
class MessagesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    run_ = std::make_unique<StoredRun>(2);
    core_ = std::make_unique<Coordinator>(run_->store(), clock_, CoordinatorOptions(),
                                          [this](ScoreJob) { ++scored_; });
    ASSERT_TRUE(core_->StartRun(run_->run(), "engine", std::make_shared<TaskSet>()).ok());
    const Status registered = Register([](v1::RegisterRequest&) {});
    ASSERT_TRUE(registered.ok()) << registered.message();
    LeaseCall call;
    call.request.set_worker_name("w");
    call.request.set_incarnation("1");
    call.respond = [this](Status, v1::LeaseResponse response) { lease_ = std::move(response); };
    core_->AskLease(call);
    ASSERT_EQ(lease_.requests_size(), 2);
  }

  Status Register(const std::function<void(v1::RegisterRequest&)>& change) {
    v1::RegisterRequest request;
    request.set_worker_name("w");
    request.set_incarnation("1");
    request.set_identity("engine");
    request.set_environment_json("{}");
    change(request);
    v1::RegisterResponse response;
    return core_->Register(request, response);
  }

  v1::SubmitRequest Good() const {
    v1::SubmitRequest request;
    request.set_worker_name("w");
    request.set_incarnation("1");
    request.set_lease_id(lease_.lease_id());
    request.set_attempt(lease_.attempt());
    request.set_probe("bits");
    for (const v1::Request& asked : lease_.requests())
      *request.add_responses() = testing::Answer(asked);
    return request;
  }

  std::size_t Pending() { return run_->store().PendingSamples(run_->run())->size(); }

  FakeClock clock_;
  std::unique_ptr<StoredRun> run_;
  std::unique_ptr<Coordinator> core_;
  v1::LeaseResponse lease_;
  int scored_ = 0;
};

TEST_F(MessagesTest, Answers) {
  struct Case {
    std::function<void(v1::SubmitRequest&, v1::Response&)> damage;  // the second response
    std::string message;
  };
  const std::string at = "Submit: responses[1].";
  const std::vector<Case> cases = {
      {[](auto& s, auto&) { s.clear_worker_name(); },
       "Submit: worker_name: expected 1 to 200 bytes, found 0"},
      {[](auto& s, auto&) { s.set_incarnation(std::string(201, 'x')); },
       "Submit: incarnation: expected 1 to 200 bytes, found 201"},
      {[](auto& s, auto&) { s.set_memory_json("[]"); },
       "Submit: memory_json: expected a JSON object, found array"},
      {[](auto& s, auto&) { s.set_memory_json("{\"a\":1,\"a\":2}"); },
       "Submit: memory_json: expected a JSON object: 1:11: not valid JSON: duplicate key \"a\""},
      {[](auto& s, auto&) { s.set_memory_json(std::string(300'000, '[')); },
       "Submit: memory_json: expected 0 to 262144 bytes, found 300000"},
      {[](auto&, auto& r) { r.clear_key(); }, at + "key: expected 1 to 200 bytes, found 0"},
      {[](auto&, auto& r) { r.set_prompt_tokens(-1); },
       at + "prompt_tokens: expected 0 to 1099511627776, found -1"},
      {[](auto&, auto& r) { r.set_generated_tokens(std::int64_t{1} << 62); },
       at + "generated_tokens: expected 0 to 1099511627776, found 4611686018427387904"},
      {[](auto&, auto& r) { r.set_truncated_tokens(std::numeric_limits<std::int64_t>::min()); },
       at + "truncated_tokens: expected 0 to 1099511627776, found -9223372036854775808"},
      {[](auto&, auto& r) { r.set_reused_tokens(-5); },
       at + "reused_tokens: expected 0 to 1099511627776, found -5"},
      {[](auto&, auto& r) { r.set_queue_seconds(-0.5); },
       at + "queue_seconds: expected seconds from 0 on, found -0.5"},
      {[](auto&, auto& r) { r.set_prefill_seconds(std::nan("")); },
       at + "prefill_seconds: expected seconds from 0 on, found nan"},
      {[](auto&, auto& r) {
         r.set_generated_tokens(4);
         r.add_inter_token_us(7);
       },
       at + "inter_token_us: expected 3 (one fewer than generated tokens) or none, found 1"},
      {[](auto&, auto& r) {
         r.set_generated_tokens(2);
         r.add_inter_token_us(3'000'000'000);
       },
       at + "inter_token_us: expected microseconds below 2147483648, found 3000000000"},
      {[](auto&, auto& r) { r.set_decode_seconds(kInfinity); },
       at + "decode_seconds: expected seconds from 0 on, found inf"},
      {[](auto&, auto& r) { r.add_first_ids(2147483648U); },
       at + "first_ids: expected token ids below 2147483648, found 2147483648"},
      {[](auto&, auto& r) {
         for (unsigned i = 0; i < 9; ++i) r.add_last_ids(i);
       },
       at + "last_ids: expected at most 8, found 9"},
      {[](auto&, auto& r) { r.set_loglikelihoods(0, std::nan("")); },
       at + "loglikelihoods: expected numbers below infinity, found nan"},
      {[](auto&, auto& r) { r.set_loglikelihoods(1, kInfinity); },
       at + "loglikelihoods: expected numbers below infinity, found inf"},
      {[](auto&, auto& r) { r.add_is_greedy(true); },
       at + "is_greedy: expected one for each of 2 loglikelihoods, found 3"},
      {[](auto&, auto& r) { r.set_finish("done"); },
       at + "finish: expected stop, eos, length or nothing, found \"done\""},
      {[](auto& s, auto&) { s.set_probe(std::string(201, 'p')); },
       "Submit: probe: expected 0 to 200 bytes, found 201"},
      {[](auto&, auto& r) { r.clear_loglikelihoods(), r.clear_is_greedy(); },
       "Submit: the answer to sample 2: expected 2 loglikelihoods, one a continuation, found 0"},
      {[](auto&, auto& r) { r.add_loglikelihoods(-1), r.add_is_greedy(false); },
       "Submit: the answer to sample 2: expected 2 loglikelihoods, one a continuation, found 3"},
      {[](auto&, auto& r) { r.set_key("key0"); },
       "sample 2: the response's key is not the request's"},
      {[](auto&, auto& r) { r.set_sample_id(77); }, "sample 77 does not belong to lease 1"},
  };
  for (const Case& item : cases) {
    v1::SubmitRequest request = Good();
    item.damage(request, *request.mutable_responses(1));
    const Status status = core_->Submit(request);
    EXPECT_EQ(status.message(), item.message);
    EXPECT_NE(status.code(), StatusCode::kOk) << item.message;
    EXPECT_EQ(Pending(), 2U) << "stored in spite of: " << item.message;
  }
  EXPECT_EQ(scored_, 0);
  EXPECT_TRUE(core_->fatal().ok()) << "a message stopped the coordinator";
  v1::SubmitRequest good = Good();
  good.mutable_responses(0)->set_loglikelihoods(0, -kInfinity);  // a probability of 0
  EXPECT_TRUE(core_->Submit(good).ok());
  EXPECT_EQ(Pending(), 0U);
}

TEST_F(MessagesTest, Registrations) {
  const std::vector<std::pair<std::function<void(v1::RegisterRequest&)>, std::string>> cases = {
      {[](auto& r) { r.clear_worker_name(); },
       "Register: worker_name: expected 1 to 200 bytes, found 0"},
      {[](auto& r) { r.set_incarnation(std::string(1 << 20, 'i')); },
       "Register: incarnation: expected 1 to 200 bytes, found 1048576"},
      {[](auto& r) { r.set_identity(std::string(1001, 'i')); },
       "Register: identity: expected 0 to 1000 bytes, found 1001"},
      {[](auto& r) { r.set_environment_json("CPU"); },
       "Register: environment_json: expected a JSON object: 1:1: not valid JSON: Invalid value."},
      {[](auto& r) { r.set_environment_json(std::string(200'000, '[')); },
       "Register: environment_json: expected a JSON object: 1:65: not valid JSON: nested deeper "
       "than 64"},
      {[](auto& r) { r.set_self_test_failure(std::string(1 << 20, 'f')); },
       "Register: self_test_failure: expected 0 to 65536 bytes, found 1048576"},
      {[](auto& r) { r.set_environment_json("7"); },
       "Register: environment_json: expected a JSON object, found integer"},
  };
  for (const auto& [damage, message] : cases) EXPECT_EQ(Register(damage).message(), message);
}

TEST_F(MessagesTest, HeartbeatsAndFarewells) {
  v1::HeartbeatRequest beat;
  beat.set_worker_name("w");
  beat.set_incarnation("1");
  for (int i = 0; i < 1'000'000; ++i) beat.add_lease_ids(i);
  v1::HeartbeatResponse response;
  EXPECT_EQ(core_->Heartbeat(beat, response).message(),
            "Heartbeat: lease_ids: expected at most 1000, found 1000000");
  v1::DrainRequest drain;
  drain.set_worker_name("w");
  drain.set_incarnation("1");
  drain.set_failure(std::string(1 << 20, 'f'));
  EXPECT_EQ(core_->Drain(drain).message(),
            "Drain: failure: expected 0 to 65536 bytes, found 1048576");
  EXPECT_EQ(core_->failures().size(), 0U);
}

/// What is no message at all, and text that protobuf refuses.
TEST_F(MessagesTest, Bytes) {
  v1::SubmitRequest request;
  for (const std::string& bytes :
       {std::string("\x0a\xff\xff\xff\xff\x0f"),                   // a name of 4 GiB
        std::string("\x0a\x05word"), std::string("\x0a\x01\xff"),  // short; not UTF-8
        std::string("\x2a\x02\x10"), std::string("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        std::string("\x00", 1), std::string("\x0c")})  // field 0; an end without start
    EXPECT_EQ(ReadMessage(bytes, request).message(),
              "Submit: expected a SubmitRequest, found other bytes")
        << bytes;
  std::string deep;  // groups of unknown fields, nested deeper than protobuf goes
  for (int i = 0; i < 100'000; ++i) deep += "\xa3\x06";
  EXPECT_FALSE(ReadMessage(deep, request).ok());
  const std::string good = Good().SerializeAsString();  // and every part of a good one
  ASSERT_TRUE(ReadMessage(good, request).ok());
  EXPECT_EQ(request.SerializeAsString(), good);
  for (std::size_t size = 0; size < good.size(); ++size) {
    const std::string part = good.substr(0, size);
    EXPECT_EQ(ReadMessage(part, request).ok(), request.ParseFromString(part)) << size;
  }
}

/// The most that passes, and one more.
TEST_F(MessagesTest, CountsAreBoundedOnTheWire) {
  v1::SubmitRequest request, read;
  for (int i = 0; i < kMessageAnswerLimit; ++i) request.add_responses();
  EXPECT_TRUE(ReadMessage(request.SerializeAsString(), read).ok());
  EXPECT_EQ(read.responses_size(), kMessageAnswerLimit);
  request.add_responses();
  EXPECT_EQ(ReadMessage(request.SerializeAsString(), read).message(),
            "Submit: responses: expected at most 4096, found more");
  std::string fields;
  for (int i = 0; i < kMessageFieldLimit; ++i) fields += std::string("\x10\1", 2);
  v1::WatchRunRequest watch;
  EXPECT_TRUE(ReadMessage(fields, watch).ok());
  EXPECT_EQ(ReadMessage(fields + fields.substr(0, 2), watch).message(),
            "WatchRun: expected at most 131072 fields, found more");
  read.Clear();
  read.set_worker_name(std::string((16U << 20) - 5, 'w'));  // and five bytes of tag and length
  ASSERT_EQ(read.ByteSizeLong(), 16U << 20);
  EXPECT_TRUE(ReadMessage(read.SerializeAsString(), request).ok());
  EXPECT_EQ(ReadMessage(std::string((16U << 20) + 1, 'x'), request).message(),
            "Submit: expected at most 16777216 bytes, found 16777217");
}

}  // namespace
}  // namespace h1bench
