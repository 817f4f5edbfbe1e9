#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
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

/// The calls of a worker through gRPC.
class NetworkCalls {
 public:
  NetworkCalls(const std::string& address, int number) {
    grpc::ChannelArguments own;
    own.SetInt("worker", number);  // a channel of its own
    stub_ = v1::Coordinator::NewStub(
        grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), own));
  }
  template <typename Request, typename Response>
  bool Call(grpc::Status (v1::Coordinator::Stub::*method)(grpc::ClientContext*, const Request&,
                                                          Response*),
            const Request& request, Response& response) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    return (stub_.get()->*method)(&context, request, &response).ok();
  }
  bool Register(const v1::RegisterRequest& request, v1::RegisterResponse& response) {
    return Call(&v1::Coordinator::Stub::Register, request, response);
  }
  bool Lease(const v1::LeaseRequest& request, v1::LeaseResponse& response) {
    return Call(&v1::Coordinator::Stub::Lease, request, response);
  }
  bool Heartbeat(const v1::HeartbeatRequest& request, v1::HeartbeatResponse& response) {
    return Call(&v1::Coordinator::Stub::Heartbeat, request, response);
  }
  bool Submit(const v1::SubmitRequest& request) {
    v1::SubmitResponse response;
    return Call(&v1::Coordinator::Stub::Submit, request, response);
  }
  bool Drain(const v1::DrainRequest& request) {
    v1::DrainResponse response;
    return Call(&v1::Coordinator::Stub::Drain, request, response);
  }

 private:
  std::unique_ptr<v1::Coordinator::Stub> stub_;
};

/// The same calls as server.cc makes of them, without gRPC: its libraries are not built with the
/// thread sanitizer, which then sees races between their atomics.
class DirectCalls {
 public:
  DirectCalls(Coordinator& core, Executor& executor) : core_(core), executor_(executor) {}
  bool Register(const v1::RegisterRequest& request, v1::RegisterResponse& response) {
    return executor_.Call([&] { return core_.Register(request, response); }).ok();
  }
  bool Heartbeat(const v1::HeartbeatRequest& request, v1::HeartbeatResponse& response) {
    return executor_.Call([&] { return core_.Heartbeat(request, response); }).ok();
  }
  bool Submit(const v1::SubmitRequest& request) {
    return executor_.Call([&] { return core_.Submit(request); }).ok();
  }
  bool Drain(const v1::DrainRequest& request) {
    return executor_.Call([&] { return core_.Drain(request); }).ok();
  }
  bool Lease(const v1::LeaseRequest& request, v1::LeaseResponse& response) {
    std::mutex mutex;
    std::condition_variable changed;
    bool answered = false, good = false;
    LeaseCall call;
    call.request = request;
    call.respond = [&](Status status, v1::LeaseResponse answer) {
      const std::lock_guard lock(mutex);
      response = std::move(answer);
      good = status.ok();
      answered = true;
      changed.notify_one();
    };
    while (!executor_.Post([this, &call] { core_.AskLease(call); })) std::this_thread::yield();
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return answered; });
    return good;
  }

 private:
  Coordinator& core_;
  Executor& executor_;
};

/// A worker in a thread: leases, answers all or a part, dies and comes back, leaves, repeats
/// itself.
template <typename Calls>
class FakeWorker {
 public:
  FakeWorker(Calls calls, int number)
      : calls_(std::move(calls)),
        name_("w" + std::to_string(number)),
        random_(static_cast<unsigned>(number)) {}

  /// One lease; false when the coordinator says that no work is left.
  bool Step() {
    if (random_() % 20 == 0) Register();  // the process died and is back under its name
    v1::LeaseRequest ask = Named<v1::LeaseRequest>();
    ask.set_wait_ms(50);
    v1::LeaseResponse lease;
    if (!calls_.Lease(ask, lease)) {
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
    batch.set_probe("bits");
    batch.set_memory_json("{\"weights\":1}");
    const bool part = random_() % 4 == 0;
    for (const v1::Request& request : lease.requests()) {
      if (!part || random_() % 2 == 0) *batch.add_responses() = Answer(request);
    }
    batch.set_last(true);
    (void)calls_.Submit(batch);
    if (random_() % 8 == 0) (void)calls_.Submit(batch);
    if (random_() % 16 == 0) (void)calls_.Drain(Named<v1::DrainRequest>());
    return true;
  }

  void Register() {
    incarnation_ = std::to_string(random_());
    v1::RegisterRequest request = Named<v1::RegisterRequest>();
    request.set_identity("engine");
    request.set_environment_json("{}");
    v1::RegisterResponse response;
    (void)calls_.Register(request, response);
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
    (void)calls_.Heartbeat(request, response);
  }
  Calls calls_;
  std::string name_, incarnation_;
  std::mt19937 random_;
};

/// 32 workers until `idle`; `look` is what the main thread does meanwhile.
template <typename MakeCalls>
void Work(const MakeCalls& make_calls, const std::function<bool()>& idle,
          const std::function<void(int)>& look) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 32; ++i) {
    threads.emplace_back([&, i] {
      FakeWorker worker(make_calls(i), i);
      worker.Register();
      while (!stop && worker.Step()) {
      }
    });
  }
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  for (int i = 0; !idle() && std::chrono::steady_clock::now() < patience; ++i) {
    look(i);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_TRUE(idle()) << "the run does not end";
  stop = true;
  for (std::thread& thread : threads) thread.join();
}

CoordinatorOptions Options() {
  CoordinatorOptions options;
  options.lease_ttl = std::chrono::milliseconds(300);
  options.expected_workers = 32;
  return options;
}

void ThroughTheNetwork(StoredRun& run) {
  NoModels models;
  ServerOptions options;
  options.coordinator = Options();
  auto started = CoordinatorServer::Start(run.store(), models, nullptr, options);
  ASSERT_TRUE(started.ok()) << started.status().message();
  CoordinatorServer& server = **started;
  ASSERT_TRUE(server.StartRun(run.run(), "engine", std::make_shared<TaskSet>()).ok());
  Work([&](int i) { return NetworkCalls(server.address(), i); }, [&] { return server.Idle(); },
       [&](int i) {
         EXPECT_TRUE(server.Progress(run.run()).ok());
         if (i % 10 == 0) server.WorkerLost("w" + std::to_string(i / 10 % 32));
       });
  EXPECT_TRUE(server.Fatal().ok()) << server.Fatal().message();
}

void Directly(StoredRun& run) {
  std::unique_ptr<Scorer> scorer;
  Coordinator core(run.store(), Clock::Real(), Options(),
                   [&](ScoreJob job) { scorer->Add(std::move(job)); });
  Executor executor(std::chrono::milliseconds(20), [&] { core.Tick(); });
  scorer = std::make_unique<Scorer>(2, nullptr, [&](ScoreResult result) {
    executor.PostAlways([&core, result = std::move(result)] { core.AddScore(result); });
  });
  ASSERT_TRUE(
      executor.Call([&] { return core.StartRun(run.run(), "engine", std::make_shared<TaskSet>()); })
          .ok());
  Work([&](int) { return DirectCalls(core, executor); },
       [&] { return executor.Call([&] { return core.idle(); }); },
       [&](int i) {
         EXPECT_TRUE(executor.Call([&] { return core.Progress(run.run()); }).ok());
         if (i % 10 == 0)
           executor.Call([&] { core.WorkerLost("w" + std::to_string(i / 10 % 32)); });
       });
  EXPECT_TRUE(executor.Call([&] { return core.fatal(); }).ok());
  scorer.reset();
}

/// Runs of 400 samples, one after the other, for so many seconds.
void Load(void (*once)(StoredRun&), int seconds) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  int runs = 0;
  do {
    StoredRun run(400);
    once(run);
    EXPECT_EQ(run.store().GetRun(run.run())->state, "finished");
    EXPECT_EQ(run.store().PendingSamples(run.run())->size(), 0U);
    EXPECT_EQ(*run.store().Divergences(), 0);
    ++runs;
  } while (std::chrono::steady_clock::now() < until && !::testing::Test::HasFailure());
  ::testing::Test::RecordProperty("runs", runs);
}

TEST(SlowLoadTest, ThirtyTwoWorkers) { Load(ThroughTheNetwork, 2); }
TEST(FullLoadTest, ThirtyTwoWorkersForThirtySeconds) { Load(ThroughTheNetwork, 30); }
TEST(FullLoadTest, ThirtyTwoThreadsForThirtySeconds) { Load(Directly, 30); }

}  // namespace
}  // namespace h1bench
