#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <string>

#include "base/status.h"
#include "proto/h1bench.grpc.pb.h"

namespace h1bench {

/// So long from now, whatever becomes of the wall clock meanwhile.
gpr_timespec Deadline(std::chrono::milliseconds time);
/// gRPC's failure as ours; a deadline that passed is kUnavailable.
Status FromGrpc(const grpc::Status& status);
/// 32 hex digits that nobody had before: for a process, or for a call that may come twice.
std::string RandomName();
/// A channel with our message caps and keepalive. Does not connect yet.
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address);

/// The calls of a worker, each with its deadline. Thread-safe.
class CoordinatorClient {
 public:
  explicit CoordinatorClient(const std::string& address);
  /// Waits up to 5 s for the coordinator to listen.
  Status Register(const v1::RegisterRequest& request, v1::RegisterResponse& response);
  Status Lease(const v1::LeaseRequest& request, v1::LeaseResponse& response);
  /// Waits for at most `limit`, and never longer than 5 s.
  Status Heartbeat(const v1::HeartbeatRequest& request, v1::HeartbeatResponse& response,
                   std::chrono::milliseconds limit);
  Status Submit(const v1::SubmitRequest& request);
  Status Drain(const v1::DrainRequest& request);
  /// Ends a Lease call that waits; it returns kCancelled.
  void CancelLease();

 private:
  std::unique_ptr<v1::Coordinator::Stub> stub_;
  std::mutex mutex_;
  grpc::ClientContext* lease_ = nullptr;  // of the Lease call in flight
};

}  // namespace h1bench
