#include "cli/version.h"

#include <curl/curl.h>
#include <fmt/core.h>
#include <google/protobuf/stubs/common.h>
#include <grpcpp/grpcpp.h>
#include <oniguruma.h>
#include <openssl/crypto.h>
#include <sqlite3.h>
#include <utf8proc.h>
#include <zlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "kernels/backend.h"

namespace h1bench::cli {
namespace {

std::string PcreVersion() {
  char text[64] = {};
  pcre2_config(PCRE2_CONFIG_VERSION, text);
  return std::string(text, std::string_view(text).find(' '));
}

std::string ProtobufVersion() {
  return fmt::format("{}.{}.{}", GOOGLE_PROTOBUF_VERSION / 1000000,
                     GOOGLE_PROTOBUF_VERSION / 1000 % 1000, GOOGLE_PROTOBUF_VERSION % 1000);
}

Json Libraries() {
  Json libraries;
  libraries.Set("sqlite", sqlite3_libversion()).Set("grpc", grpc::Version());
  libraries.Set("protobuf", ProtobufVersion())
      .Set("openssl", OpenSSL_version(OPENSSL_VERSION_STRING));
  libraries.Set("pcre2", PcreVersion())
      .Set("oniguruma", onig_version())
      .Set("utf8proc", utf8proc_version());
  libraries.Set("fmt", fmt::format("{}.{}.{}", FMT_VERSION / 10000, FMT_VERSION / 100 % 100,
                                   FMT_VERSION % 100));
  libraries.Set("libcurl", curl_version_info(CURLVERSION_NOW)->version).Set("zlib", zlibVersion());
  return libraries;
}

}  // namespace

Json VersionJson() {
  const BuildInfo& info = GetBuildInfo();
  Json json;
  json.Set("version", info.version);
  json.Set("git_revision", info.git_revision.empty() ? Json() : Json(info.git_revision))
      .Set("dirty", info.dirty);
  json.Set("source_digest", info.source_digest).Set("engine_build", EngineBuild());
  json.Set("compiler", info.compiler).Set("build_type", info.build_type).Set("flags", info.flags);
  Json backends{Json::Array{}};
  for (const Device device : {Device::kCpu, Device::kCuda}) {
    const Result<std::string> identity = DeviceIdentity(device);
    Json entry;
    entry.Set("name", DeviceName(device)).Set("available", identity.ok());
    entry.Set(identity.ok() ? "identity" : "reason",
              identity.ok() ? *identity : identity.status().message());
    backends.Push(std::move(entry));
  }
  json.Set("backends", std::move(backends));
  json.Set("libraries", Libraries());
  return json;
}

std::string VersionText() {
  const BuildInfo& info = GetBuildInfo();
  std::string text = fmt::format("h1bench {}\n", info.version);
  text += fmt::format("revision   {}{}\n",
                      info.git_revision.empty() ? "not from git" : info.git_revision,
                      info.dirty ? " (dirty)" : "");
  text += fmt::format("sources    sha256 {}\n", info.source_digest);
  text += fmt::format("compiler   {}, {}, {}\n", info.compiler, info.build_type, info.flags);
  for (const Device device : {Device::kCpu, Device::kCuda}) {
    const Result<std::string> identity = DeviceIdentity(device);
    text += fmt::format("{:<10} {}\n", device == Device::kCpu ? "backends" : "",
                        identity.ok() ? *identity : "no cuda: " + identity.status().message());
  }
  text += "libraries ";
  const Json libraries = Libraries();
  for (const auto& [name, version] : libraries.as_object())
    text += fmt::format(" {} {},", name, version.as_string());
  text.back() = '\n';
  return text;
}

}  // namespace h1bench::cli
