#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "harness/coordinator/server.h"
#include "proto/h1bench.grpc.pb.h"
#include "tests/harness/coordinator_fixture.h"

namespace h1bench {
namespace {

using testing::Answer;
using testing::NoModels;
using testing::StoredRun;

/// Bytes: the most that this process had in memory.
std::int64_t ResidentPeak() {
  std::ifstream status("/proc/self/status");
  std::string word;
  std::int64_t kibibytes = 0;
  while (status >> word)
    if (word == "VmHWM:" && status >> kibibytes) return kibibytes * 1024;
  return 0;
}

/// The real server on a free loopback port.
class ServerTest : public ::testing::Test {
 protected:
  void Start(int samples) {
    run_ = std::make_unique<StoredRun>(samples);
    auto server = CoordinatorServer::Start(run_->store(), models_, nullptr, {});
    ASSERT_TRUE(server.ok()) << server.status().message();
    server_ = std::move(server).value();
    ASSERT_TRUE(server_->StartRun(run_->run(), "engine", std::make_shared<TaskSet>()).ok());
    channel_ = grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials());
    stub_ = v1::Coordinator::NewStub(channel_);
    Register("w");
  }

  void Register(const char* name) {
    v1::RegisterRequest request;
    request.set_worker_name(name);
    request.set_incarnation("1");
    request.set_identity("engine");
    request.set_environment_json("{}");
    v1::RegisterResponse response;
    grpc::ClientContext context;
    ASSERT_TRUE(stub_->Register(&context, request, &response).ok());
    EXPECT_EQ(response.lease_ttl_ms(), 30'000);
  }

  grpc::Status Lease(v1::LeaseResponse& response, int wait_ms, int deadline_ms = 5'000,
                     const char* name = "w") {
    v1::LeaseRequest request;
    request.set_worker_name(name);
    request.set_incarnation("1");
    request.set_wait_ms(wait_ms);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(deadline_ms));
    return stub_->Lease(&context, request, &response);
  }

  grpc::Status Submit(const v1::LeaseResponse& lease, std::size_t padding = 0) {
    v1::SubmitRequest request;
    request.set_worker_name("w");
    request.set_incarnation("1");
    request.set_lease_id(lease.lease_id());
    request.set_attempt(lease.attempt());
    request.set_last(true);
    request.set_probe("bits");
    for (const v1::Request& asked : lease.requests()) *request.add_responses() = Answer(asked);
    if (padding > 0) request.mutable_responses(0)->set_text(std::string(padding, 'x'));
    v1::SubmitResponse response;
    grpc::ClientContext context;
    return stub_->Submit(&context, request, &response);
  }

  /// Any bytes to any method, through the generic interface.
  grpc::Status Call(const char* method, const std::string& bytes, grpc::ByteBuffer& response) {
    const grpc::Slice slice(bytes);
    const grpc::ByteBuffer request(&slice, 1);
    grpc::GenericStub stub(channel_);
    grpc::ClientContext context;
    grpc::CompletionQueue queue;
    grpc::Status status;
    const auto call = stub.PrepareUnaryCall(&context, method, request, &queue);
    call->StartCall();
    call->Finish(&response, &status, nullptr);
    void* tag = nullptr;
    bool ok = false;
    EXPECT_TRUE(queue.Next(&tag, &ok));
    return status;
  }

  NoModels models_;
  std::unique_ptr<StoredRun> run_;
  std::unique_ptr<CoordinatorServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Coordinator::Stub> stub_;
};

TEST_F(ServerTest, WorkGoesOutAndComesBack) {
  Start(5);
  v1::LeaseResponse lease;
  ASSERT_TRUE(Lease(lease, 0).ok());
  ASSERT_EQ(lease.requests_size(), 5);
  ASSERT_TRUE(Submit(lease).ok());
  v1::LeaseResponse end;
  ASSERT_TRUE(Lease(end, 5'000).ok());
  EXPECT_TRUE(end.finished());
  EXPECT_TRUE(server_->Idle());
  EXPECT_EQ(server_->Progress(run_->run())->state(), "finished");
}

TEST_F(ServerTest, ACallerThatGaveUpGetsNoLease) {
  Start(1);
  v1::LeaseResponse held, nothing;
  Register("holder");
  ASSERT_TRUE(Lease(held, 0, 5'000, "holder").ok());
  // Its own deadline is shorter than the poll: the coordinator must not hand work to a call that
  // nobody waits for.
  EXPECT_EQ(Lease(nothing, 10'000, 200).error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  v1::DrainRequest drain;
  drain.set_worker_name("holder");
  drain.set_incarnation("1");
  v1::DrainResponse drained;
  grpc::ClientContext context;
  ASSERT_TRUE(stub_->Drain(&context, drain, &drained).ok());
  v1::LeaseResponse lease;
  ASSERT_TRUE(Lease(lease, 0).ok());
  EXPECT_EQ(lease.requests_size(), 1);
}

TEST_F(ServerTest, ALeaseWhoseAnswerGotLostIsGivenAgain) {
  Start(3);
  v1::LeaseResponse lost, lease;
  ASSERT_TRUE(Lease(lost, 0).ok());
  ASSERT_TRUE(Lease(lease, 0).ok());
  EXPECT_EQ(lease.requests_size(), 3);
  EXPECT_EQ(Submit(lost).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_TRUE(Submit(lease).ok());
}

TEST_F(ServerTest, MessagesOver16MiBAreRefused) {
  Start(1);
  v1::LeaseResponse lease;
  ASSERT_TRUE(Lease(lease, 0).ok());
  EXPECT_EQ(Submit(lease, 17U << 20).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(Submit(lease, 8U << 20).ok());
}

/// 16 MiB of answers without content would be 2.5 GiB of objects: the bytes are looked at before.
TEST_F(ServerTest, CallsAreBoundedBeforeTheyAreRead) {
  Start(1);
  v1::LeaseResponse lease;
  ASSERT_TRUE(Lease(lease, 0).ok());
  std::string answers, fields;
  while (answers.size() < (15U << 20)) answers += std::string("\x2a\0", 2);
  for (int i = 0; i < 200'000; ++i) fields += std::string("\x7a\0", 2);
  const std::string big(std::size_t{3} << 20, '\x7a');
  const struct {
    const char* method;
    const std::string& bytes;
    const char* message;
  } cases[] = {
      {"Coordinator/Submit", answers, "Submit: responses: expected at most 4096, found more"},
      {"Coordinator/Submit", fields, "Submit: expected at most 131072 fields, found more"},
      {"Coordinator/Register", big, "Register: expected at most 1048576 bytes, found 3145728"},
      {"Coordinator/Lease", fields, "Lease: expected at most 131072 fields, found more"},
      {"Coordinator/Heartbeat", big, "Heartbeat: expected at most 1048576 bytes, found 3145728"},
      {"Coordinator/Drain", "\x07", "Drain: expected a DrainRequest, found other bytes"},
      {"Runs/CreateRun", big, "CreateRun: expected at most 2097152 bytes, found 3145728"},
      {"Runs/ListRuns", fields, "ListRuns: expected at most 131072 fields, found more"},
      {"Runs/WatchRun", "\x0a", "WatchRun: expected a WatchRunRequest, found other bytes"},
      {"Runs/CancelRun", big, "CancelRun: expected at most 1048576 bytes, found 3145728"},
  };
  std::ofstream("/proc/self/clear_refs") << 5;  // the most memory so far is what there is now
  const std::int64_t before = ResidentPeak();
  for (const auto& item : cases) {
    grpc::ByteBuffer response;
    const std::string method = std::string("/h1bench.v1.") + item.method;
    const grpc::Status status = Call(method.c_str(), item.bytes, response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << method;
    EXPECT_EQ(status.error_message(), item.message);
  }
  EXPECT_LT(ResidentPeak() - before, std::int64_t{256} << 20);
  EXPECT_TRUE(Submit(lease).ok()) << "it serves as before";
}

TEST_F(ServerTest, HealthServiceAnswers) {
  Start(1);
  // grpc.health.v1.Health/Check through the generic interface: an empty request asks for the server
  // as a whole; the answer's field 1 is 1 (SERVING).
  grpc::ByteBuffer response;
  const grpc::Status status = Call("/grpc.health.v1.Health/Check", "", response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  grpc::Slice answer;
  ASSERT_TRUE(response.DumpToSingleSlice(&answer).ok());
  ASSERT_EQ(answer.size(), 2U);
  EXPECT_EQ(answer.begin()[0], 0x08);
  EXPECT_EQ(answer.begin()[1], 0x01);
}

TEST_F(ServerTest, OnlyLoopbackIsListenedOn) {
  StoredRun run(1);
  ServerOptions options;
  for (const char* address : {"0.0.0.0:0", "192.168.1.2:7700", "[::]:0"}) {
    options.address = address;
    EXPECT_EQ(CoordinatorServer::Start(run.store(), models_, nullptr, options).status().code(),
              StatusCode::kInvalidArgument)
        << address;
  }
}

}  // namespace
}  // namespace h1bench
