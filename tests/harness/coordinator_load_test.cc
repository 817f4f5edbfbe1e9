#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <random>
#include <thread>

#include "harness/coordinator/server.h"
#include "proto/h1bench.grpc.pb.h"
#include "tests/harness/coordinator_fixture.h"

/// Many workers at once, most of them badly behaved: what the thread sanitizer watches
/// (scripts/test --full builds the preset tsan for it), and what must end all the same.
namespace h1bench {
namespace {

using testing::Answer;
using testing::NoModels;
using testing::StoredRun;

/// A worker in a thread: leases, answers all or a part, dies and comes back, leaves, repeats
/// itself.
class FakeWorker {
 public:
  FakeWorker(const std::string& address, int number)
      : name_("w" + std::to_string(number)), random_(static_cast<unsigned>(number)) {
    grpc::ChannelArguments own;
    own.SetInt("worker", number);  // a channel of its own
    stub_ = v1::Coordinator::NewStub(
        grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), own));
  }

  /// One lease; false when the coordinator says that no work is left.
  bool Step() {
    if (random_() % 20 == 0) Register();  // the process died and is back under its name
    v1::LeaseRequest ask = Named<v1::LeaseRequest>();
    ask.set_wait_ms(50);
    v1::LeaseResponse lease;
    if (const grpc::Status status = Call(&v1::Coordinator::Stub::Lease, ask, lease);
        status.error_code() == grpc::StatusCode::NOT_FOUND) {
      Register();
      return true;
    }
    if (lease.finished()) return false;
    if (lease.lease_id() == 0) return true;
    Beat(lease.lease_id());
    if (random_() % 8 == 0) return true;  // forgets the lease
    v1::SubmitRequest batch = Named<v1::SubmitRequest>();
    batch.set_lease_id(lease.lease_id());
    batch.set_attempt(lease.attempt());
    batch.set_memory_json("{\"weights\":1}");
    const bool part = random_() % 4 == 0;
    for (const v1::Request& request : lease.requests()) {
      if (!part || random_() % 2 == 0) *batch.add_responses() = Answer(request);
    }
    batch.set_last(true);
    v1::SubmitResponse done;
    (void)Call(&v1::Coordinator::Stub::Submit, batch, done);
    if (random_() % 8 == 0) (void)Call(&v1::Coordinator::Stub::Submit, batch, done);
    if (random_() % 16 == 0) {
      v1::DrainResponse left;
      (void)Call(&v1::Coordinator::Stub::Drain, Named<v1::DrainRequest>(), left);
    }
    return true;
  }

  void Register() {
    incarnation_ = std::to_string(random_());
    v1::RegisterRequest request = Named<v1::RegisterRequest>();
    request.set_identity("engine");
    request.set_environment_json("{}");
    v1::RegisterResponse response;
    (void)Call(&v1::Coordinator::Stub::Register, request, response);
  }

 private:
  template <typename Message>
  Message Named() const {
    Message message;
    message.set_worker_name(name_);
    message.set_incarnation(incarnation_);
    return message;
  }
  void Beat(std::int64_t lease) {
    v1::HeartbeatRequest request = Named<v1::HeartbeatRequest>();
    request.add_lease_ids(lease);
    v1::HeartbeatResponse response;
    (void)Call(&v1::Coordinator::Stub::Heartbeat, request, response);
  }
  template <typename Request, typename Response>
  grpc::Status Call(grpc::Status (v1::Coordinator::Stub::*method)(grpc::ClientContext*,
                                                                  const Request&, Response*),
                    const Request& request, Response& response) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    return (stub_.get()->*method)(&context, request, &response);
  }

  std::string name_, incarnation_;
  std::mt19937 random_;
  std::unique_ptr<v1::Coordinator::Stub> stub_;
};

/// Runs of 400 samples, one after the other, for so many seconds.
void Load(int seconds) {
  NoModels models;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  int runs = 0;
  do {
    StoredRun run(400);
    {
      ServerOptions options;
      options.coordinator.lease_ttl = std::chrono::milliseconds(300);
      options.coordinator.expected_workers = 32;
      auto server = CoordinatorServer::Start(run.store(), models, nullptr, options);
      ASSERT_TRUE(server.ok()) << server.status().message();
      ASSERT_TRUE((*server)->StartRun(run.run(), "engine", std::make_shared<TaskSet>()).ok());
      std::atomic<bool> stop{false};
      std::vector<std::thread> threads;
      for (int i = 0; i < 32; ++i) {
        threads.emplace_back([&, i] {
          FakeWorker worker((*server)->address(), i);
          worker.Register();
          while (!stop && worker.Step()) {
          }
        });
      }
      // The main thread's part: looks, and has seen somebody die.
      const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(60);
      for (int i = 0; !(*server)->Idle() && std::chrono::steady_clock::now() < patience; ++i) {
        EXPECT_TRUE((*server)->Progress(run.run()).ok());
        if (i % 10 == 0) (*server)->WorkerLost("w" + std::to_string(i / 10 % 32));
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
      EXPECT_TRUE((*server)->Idle()) << "the run does not end";
      EXPECT_TRUE((*server)->Fatal().ok()) << (*server)->Fatal().message();
      stop = true;
      for (std::thread& thread : threads) thread.join();
    }
    EXPECT_EQ(run.store().GetRun(run.run())->state, "finished");
    EXPECT_EQ(run.store().PendingSamples(run.run())->size(), 0U);
    EXPECT_EQ(*run.store().Divergences(), 0);
    ++runs;
  } while (std::chrono::steady_clock::now() < until && !::testing::Test::HasFailure());
  ::testing::Test::RecordProperty("runs", runs);
}

TEST(SlowLoadTest, ThirtyTwoWorkers) { Load(3); }
TEST(FullLoadTest, ThirtyTwoWorkersForThirtySeconds) { Load(30); }

}  // namespace
}  // namespace h1bench
