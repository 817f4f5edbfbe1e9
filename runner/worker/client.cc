#include "runner/worker/client.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>

namespace h1bench {
namespace {

constexpr int kMaxMessageBytes = 16 << 20;
constexpr std::chrono::milliseconds kShort{5'000}, kLong{30'000};

/// Waits for a connection, too: a synchronous channel only gets on with connecting while some call
/// waits on it, and calls that fail at once would starve it.
void SetDeadline(grpc::ClientContext& context, std::chrono::milliseconds time) {
  context.set_deadline(Deadline(time));
  context.set_wait_for_ready(true);
}

}  // namespace

gpr_timespec Deadline(std::chrono::milliseconds time) {
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                      gpr_time_from_millis(time.count(), GPR_TIMESPAN));
}

Status FromGrpc(const grpc::Status& status) {
  const std::string& text = status.error_message();
  switch (status.error_code()) {
    case grpc::StatusCode::OK:
      return Status::Ok();
    case grpc::StatusCode::INVALID_ARGUMENT:
      return {StatusCode::kInvalidArgument, text};
    case grpc::StatusCode::NOT_FOUND:
      return {StatusCode::kNotFound, text};
    case grpc::StatusCode::DATA_LOSS:
      return {StatusCode::kCorrupt, text};
    case grpc::StatusCode::UNIMPLEMENTED:
      return {StatusCode::kUnsupported, text};
    case grpc::StatusCode::ABORTED:
      return {StatusCode::kIoError, text};
    case grpc::StatusCode::FAILED_PRECONDITION:
      return {StatusCode::kFailedPrecondition, text};
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return {StatusCode::kResourceExhausted, text};
    case grpc::StatusCode::CANCELLED:
      return {StatusCode::kCancelled, text};
    case grpc::StatusCode::DEADLINE_EXCEEDED:
    case grpc::StatusCode::UNAVAILABLE:
      return {StatusCode::kUnavailable, text};
    default:
      return {StatusCode::kInternal, text};
  }
}

std::string RandomName() {
  std::uint64_t words[2] = {};
  if (getrandom(words, sizeof words, 0) != sizeof words)
    words[0] =
        static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  return fmt::format("{:016x}{:016x}", words[0], words[1]);
}

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetMaxSendMessageSize(kMaxMessageBytes);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY,
                   0);  // an http_proxy in the environment is not for us
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

CoordinatorClient::CoordinatorClient(const std::string& address)
    : stub_(v1::Coordinator::NewStub(MakeChannel(address))) {}

Status CoordinatorClient::Register(const v1::RegisterRequest& request,
                                   v1::RegisterResponse& response) {
  grpc::ClientContext context;
  SetDeadline(context, kShort);
  return FromGrpc(stub_->Register(&context, request, &response));
}

Status CoordinatorClient::Lease(const v1::LeaseRequest& request, v1::LeaseResponse& response) {
  grpc::ClientContext context;
  SetDeadline(context, kLong);
  {
    const std::lock_guard lock(mutex_);
    lease_ = &context;
  }
  const grpc::Status status = stub_->Lease(&context, request, &response);
  const std::lock_guard lock(mutex_);
  lease_ = nullptr;
  return FromGrpc(status);
}

void CoordinatorClient::CancelLease() {
  const std::lock_guard lock(mutex_);
  if (lease_ != nullptr) lease_->TryCancel();
}

Status CoordinatorClient::Heartbeat(const v1::HeartbeatRequest& request,
                                    v1::HeartbeatResponse& response,
                                    std::chrono::milliseconds limit) {
  grpc::ClientContext context;
  SetDeadline(context, std::min(limit, kShort));
  return FromGrpc(stub_->Heartbeat(&context, request, &response));
}

Status CoordinatorClient::Submit(const v1::SubmitRequest& request) {
  grpc::ClientContext context;
  SetDeadline(context, kLong);
  v1::SubmitResponse response;
  return FromGrpc(stub_->Submit(&context, request, &response));
}

Status CoordinatorClient::Drain(const v1::DrainRequest& request) {
  grpc::ClientContext context;
  SetDeadline(context, kShort);
  context.set_wait_for_ready(false);  // a courtesy is not worth waiting for
  v1::DrainResponse response;
  return FromGrpc(stub_->Drain(&context, request, &response));
}

}  // namespace h1bench
