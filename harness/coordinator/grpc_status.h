#pragma once

#include <grpcpp/support/status.h>

#include "base/status.h"

namespace h1bench {

/// Our failure as a gRPC one and back; messages stay.
inline grpc::Status ToGrpc(const Status& status) {
  switch (status.code()) {
    case StatusCode::kOk:
      return grpc::Status::OK;
    case StatusCode::kInvalidArgument:
      return {grpc::StatusCode::INVALID_ARGUMENT, status.message()};
    case StatusCode::kNotFound:
      return {grpc::StatusCode::NOT_FOUND, status.message()};
    case StatusCode::kCorrupt:
      return {grpc::StatusCode::DATA_LOSS, status.message()};
    case StatusCode::kUnsupported:
      return {grpc::StatusCode::UNIMPLEMENTED, status.message()};
    case StatusCode::kFailedPrecondition:
      return {grpc::StatusCode::FAILED_PRECONDITION, status.message()};
    case StatusCode::kResourceExhausted:
      return {grpc::StatusCode::RESOURCE_EXHAUSTED, status.message()};
    case StatusCode::kUnavailable:
      return {grpc::StatusCode::UNAVAILABLE, status.message()};
    case StatusCode::kCancelled:
      return {grpc::StatusCode::CANCELLED, status.message()};
    case StatusCode::kIoError:
      return {grpc::StatusCode::ABORTED, status.message()};
    case StatusCode::kInternal:
      break;
  }
  return {grpc::StatusCode::INTERNAL, status.message()};
}

}  // namespace h1bench
