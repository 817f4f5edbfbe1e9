#pragma once

#include <arpa/inet.h>
#include <grpcpp/grpcpp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "proto/h1bench.grpc.pb.h"

/// What stands between a worker and its coordinator in the network scenarios.
namespace h1bench::fault {

/// A service of ours on a free port of the loopback, until it ends.
class ProxyServer {
 public:
  explicit ProxyServer(grpc::Service& service) {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&service);
    server_ = builder.BuildAndStart();
    address_ = "127.0.0.1:" + std::to_string(port);
  }
  ~ProxyServer() { server_->Shutdown(std::chrono::system_clock::now()); }
  ProxyServer(const ProxyServer&) = delete;
  const std::string& address() const { return address_; }

 private:
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
};

/// Hands every call on. `losses`: so many answers of each call are lost after the coordinator gave
/// them; `twice`: every call reaches the coordinator two times.
class CallProxy final : public v1::Coordinator::Service {
 public:
  CallProxy(const std::string& coordinator, int losses, bool twice)
      : stub_(v1::Coordinator::NewStub(
            grpc::CreateChannel(coordinator, grpc::InsecureChannelCredentials()))),
        losses_(losses),
        twice_(twice) {}
  const std::string& address() const { return server_.address(); }
  /// Answers that were lost, by call.
  std::map<std::string, int> lost() {
    const std::lock_guard lock(mutex_);
    return lost_;
  }

  grpc::Status Register(grpc::ServerContext* context, const v1::RegisterRequest* request,
                        v1::RegisterResponse* response) override {
    return Pass("Register", context, &v1::Coordinator::Stub::Register, *request, response, true);
  }
  grpc::Status Lease(grpc::ServerContext* context, const v1::LeaseRequest* request,
                     v1::LeaseResponse* response) override {
    const grpc::Status status =
        Pass("Lease", context, &v1::Coordinator::Stub::Lease, *request, response, false);
    if (!status.ok() || response->lease_id() == 0 || !Lose("Lease")) return status;
    *response = {};
    return {grpc::StatusCode::UNAVAILABLE, "the answer got lost"};
  }
  grpc::Status Heartbeat(grpc::ServerContext* context, const v1::HeartbeatRequest* request,
                         v1::HeartbeatResponse* response) override {
    return Pass("Heartbeat", context, &v1::Coordinator::Stub::Heartbeat, *request, response, true);
  }
  grpc::Status Submit(grpc::ServerContext* context, const v1::SubmitRequest* request,
                      v1::SubmitResponse* response) override {
    return Pass(request->last() ? "Submit last" : "Submit", context, &v1::Coordinator::Stub::Submit,
                *request, response, true);
  }
  grpc::Status Drain(grpc::ServerContext* context, const v1::DrainRequest* request,
                     v1::DrainResponse* response) override {
    return Pass("Drain", context, &v1::Coordinator::Stub::Drain, *request, response, true);
  }

 private:
  bool Lose(const std::string& call) {
    const std::lock_guard lock(mutex_);
    if (lost_[call] >= losses_) return false;
    ++lost_[call];
    return true;
  }
  template <typename Request, typename Response>
  grpc::Status Pass(const std::string& call, grpc::ServerContext* from,
                    grpc::Status (v1::Coordinator::Stub::*method)(grpc::ClientContext*,
                                                                  const Request&, Response*),
                    const Request& request, Response* response, bool may_lose) {
    for (int i = 0; i < (twice_ ? 2 : 1); ++i) {
      grpc::ClientContext context;
      context.set_deadline(from->deadline());
      *response = {};
      const grpc::Status status = ((*stub_).*method)(&context, request, response);
      const bool last = i == (twice_ ? 1 : 0);
      // A second Submit of a closed lease is refused, as it must be; the worker got the first
      // answer.
      if (twice_ && last && call == "Submit last") return grpc::Status::OK;
      if (!last) continue;
      if (status.ok() && may_lose && Lose(call))
        return {grpc::StatusCode::UNAVAILABLE, "the answer got lost"};
      return status;
    }
    return grpc::Status::OK;
  }

  std::unique_ptr<v1::Coordinator::Stub> stub_;
  const int losses_;
  const bool twice_;
  std::mutex mutex_;
  std::map<std::string, int> lost_;
  ProxyServer server_{*this};  // last: it calls what stands above
};

/// The calls of people, handed on; the first answer of each is lost.
class RunsProxy final : public v1::Runs::Service {
 public:
  explicit RunsProxy(const std::string& coordinator)
      : stub_(v1::Runs::NewStub(
            grpc::CreateChannel(coordinator, grpc::InsecureChannelCredentials()))) {}
  const std::string& address() const { return server_.address(); }
  /// Calls that came, by name.
  std::map<std::string, int> calls() {
    const std::lock_guard lock(mutex_);
    return calls_;
  }

  grpc::Status CreateRun(grpc::ServerContext* context, const v1::CreateRunRequest* request,
                         v1::CreateRunResponse* response) override {
    return Pass("CreateRun", context, &v1::Runs::Stub::CreateRun, *request, response);
  }
  grpc::Status ListRuns(grpc::ServerContext* context, const v1::ListRunsRequest* request,
                        v1::ListRunsResponse* response) override {
    return Pass("ListRuns", context, &v1::Runs::Stub::ListRuns, *request, response);
  }
  grpc::Status WatchRun(grpc::ServerContext* context, const v1::WatchRunRequest* request,
                        v1::RunProgress* response) override {
    return Pass("WatchRun", context, &v1::Runs::Stub::WatchRun, *request, response);
  }
  grpc::Status CancelRun(grpc::ServerContext* context, const v1::CancelRunRequest* request,
                         v1::CancelRunResponse* response) override {
    return Pass("CancelRun", context, &v1::Runs::Stub::CancelRun, *request, response);
  }

 private:
  template <typename Request, typename Response>
  grpc::Status Pass(const std::string& call, grpc::ServerContext* from,
                    grpc::Status (v1::Runs::Stub::*method)(grpc::ClientContext*, const Request&,
                                                           Response*),
                    const Request& request, Response* response) {
    grpc::ClientContext context;
    context.set_deadline(from->deadline());
    for (const auto& [key, value] : from->client_metadata()) {
      if (key.starts_with("h1bench"))
        context.AddMetadata({key.data(), key.size()}, {value.data(), value.size()});
    }
    const grpc::Status status = ((*stub_).*method)(&context, request, response);
    const std::lock_guard lock(mutex_);
    if (++calls_[call] == 1 && status.ok())
      return {grpc::StatusCode::UNAVAILABLE, "the answer got lost"};
    return status;
  }

  std::unique_ptr<v1::Runs::Stub> stub_;
  std::mutex mutex_;
  std::map<std::string, int> calls_;
  ProxyServer server_{*this};  // last: it calls what stands above
};

/// Bytes, there and back. After Blackhole() connections stay open and nothing comes through.
class TcpProxy {
 public:
  explicit TcpProxy(const std::string& target)
      : port_(static_cast<std::uint16_t>(std::stoi(target.substr(target.rfind(':') + 1)))) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in here = Loopback(0);
    socklen_t size = sizeof here;
    if (bind(listener_, reinterpret_cast<sockaddr*>(&here), size) != 0 ||
        listen(listener_, 16) != 0)
      std::abort();
    getsockname(listener_, reinterpret_cast<sockaddr*>(&here), &size);
    address_ = "127.0.0.1:" + std::to_string(ntohs(here.sin_port));
    thread_ = std::thread([this] { Work(); });
  }
  ~TcpProxy() {
    stop_ = true;
    thread_.join();
    for (const auto& [a, b] : pairs_) {
      close(a);
      close(b);
    }
    close(listener_);
  }
  const std::string& address() const { return address_; }
  void Blackhole() { hole_ = true; }

 private:
  static sockaddr_in Loopback(std::uint16_t port) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }
  void Accept() {
    const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in there = Loopback(port_);
    (void)connect(server, reinterpret_cast<const sockaddr*>(&there), sizeof there);
    pairs_.emplace_back(client, server);
  }
  /// False: one end closed.
  static bool Copy(int from, int to) {
    char buffer[65536];
    const ssize_t got = read(from, buffer, sizeof buffer);
    for (ssize_t at = 0; at < got;) {
      const ssize_t put = send(to, buffer + at, static_cast<std::size_t>(got - at), MSG_NOSIGNAL);
      if (put <= 0) return false;
      at += put;
    }
    return got > 0;
  }
  void Work() {
    while (!stop_) {
      if (hole_) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        continue;
      }
      std::vector<pollfd> polled = {{listener_, POLLIN, 0}};
      for (const auto& [a, b] : pairs_) {
        polled.push_back({a, POLLIN, 0});
        polled.push_back({b, POLLIN, 0});
      }
      if (poll(polled.data(), polled.size(), 20) <= 0) continue;
      std::vector<std::pair<int, int>> kept;
      for (std::size_t i = 0; i < pairs_.size(); ++i) {
        const auto [a, b] = pairs_[i];
        const bool good = (polled[2 * i + 1].revents == 0 || Copy(a, b)) &&
                          (polled[2 * i + 2].revents == 0 || Copy(b, a));
        if (good) {
          kept.emplace_back(a, b);
        } else {
          close(a);
          close(b);
        }
      }
      pairs_ = std::move(kept);
      if (polled[0].revents != 0) Accept();
    }
  }

  const std::uint16_t port_;
  int listener_ = -1;
  std::string address_;
  std::vector<std::pair<int, int>> pairs_;
  std::atomic<bool> stop_{false}, hole_{false};
  std::thread thread_;
};

}  // namespace h1bench::fault
