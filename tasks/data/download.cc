#include "tasks/data/download.h"

#include <curl/curl.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "base/file.h"
#include "base/sha256.h"

namespace h1bench::tasks {
namespace {

namespace fs = std::filesystem;
constexpr int kTries = 3;

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

/// What libcurl's callbacks see.
struct Transfer {
  std::FILE* file = nullptr;
  std::int64_t done = 0, size = 0;
  const DownloadProgress* progress = nullptr;
  bool too_long = false, cancelled = false, disk_failed = false;
};

std::size_t OnBytes(const char* data, std::size_t, std::size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  transfer.too_long = static_cast<std::int64_t>(count) > transfer.size - transfer.done;
  if (transfer.too_long) return 0;
  transfer.disk_failed = std::fwrite(data, 1, count, transfer.file) != count;
  transfer.done += static_cast<std::int64_t>(count);
  return transfer.disk_failed ? 0 : count;
}

int OnProgress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  auto& transfer = *static_cast<Transfer*>(user);
  transfer.cancelled = *transfer.progress && !(*transfer.progress)(transfer.done);
  return transfer.cancelled ? 1 : 0;
}

std::int64_t SizeOf(const fs::path& path) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(path, error);
  return error ? 0 : static_cast<std::int64_t>(size);
}

/// Trying again can help: nothing is wrong with the request itself.
bool IsTransient(CURLcode code, long http) {
  if (code == CURLE_HTTP_RETURNED_ERROR) return http == 429 || http >= 500;
  return code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_CONNECT ||
         code == CURLE_OPERATION_TIMEDOUT || code == CURLE_PARTIAL_FILE ||
         code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR || code == CURLE_GOT_NOTHING ||
         code == CURLE_HTTP2 || code == CURLE_HTTP2_STREAM;
}

}  // namespace

struct Downloader::Impl {
  CURL* curl = nullptr;
  char error[CURL_ERROR_SIZE] = {};

  /// One request that goes on at the end of `part`.
  CURLcode Request(const Item& item, const fs::path& part, Transfer& transfer, long& http) {
    transfer.done = SizeOf(part);
    const File file(std::fopen(part.c_str(), "abe"));
    transfer.disk_failed = file == nullptr;
    if (transfer.disk_failed) return CURLE_WRITE_ERROR;
    transfer.file = file.get();
    transfer.size = item.size;
    error[0] = '\0';
    curl_easy_setopt(curl, CURLOPT_URL, item.url.c_str());
    curl_easy_setopt(curl, CURLOPT_RESUME_FROM_LARGE, static_cast<curl_off_t>(transfer.done));
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &transfer);
    const CURLcode code = curl_easy_perform(curl);
    http = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &http);
    return code;
  }

  Status Failure(const Item& item, CURLcode code, long http, const Transfer& transfer) const {
    if (transfer.cancelled)
      return {StatusCode::kCancelled,
              "stopped; run the same command again to go on where it stopped"};
    if (transfer.disk_failed)
      return IoError("{}.part: writing failed; is the disk full?", item.target.string());
    if (transfer.too_long)
      return FailedPrecondition(
          "{}: sends more than the {} bytes of the known file; try --mirror with a copy of it",
          item.url, item.size);
    if (code == CURLE_HTTP_RETURNED_ERROR)
      return NotFound("{}: the server answers {}; try again later, or --mirror URL", item.url,
                      http);
    return Unavailable(
        "{}: {}; check the network (or the proxy in https_proxy), or use --mirror URL", item.url,
        error[0] != '\0' ? error : curl_easy_strerror(code));
  }

  /// Complete and unverified in `part`, or why not.
  Status Download(const Item& item, const fs::path& part, Transfer& transfer) {
    for (int attempt = 1;; ++attempt) {
      long http = 0;
      const CURLcode code = Request(item, part, transfer, http);
      if (code == CURLE_OK) return Status::Ok();
      // The server does not do ranges, or the part is longer than its file: from the beginning.
      const bool bad_range =
          code == CURLE_RANGE_ERROR || code == CURLE_BAD_DOWNLOAD_RESUME || http == 416;
      std::error_code ignored;
      if (bad_range) fs::remove(part, ignored);
      if (attempt == kTries || transfer.cancelled || transfer.disk_failed ||
          !(bad_range || IsTransient(code, http)))
        return Failure(item, code, http, transfer);
      if (!bad_range) std::this_thread::sleep_for(std::chrono::seconds(attempt));
    }
  }
};

Downloader::Downloader() : impl_(std::make_unique<Impl>()) {
  curl_global_init(CURL_GLOBAL_DEFAULT);
  CURL* curl = impl_->curl = curl_easy_init();
  if (curl == nullptr) return;
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, impl_->error);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, OnBytes);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, OnProgress);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 5L);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 20L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 100L);  // bytes a second ...
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, 30L);    // ... for so many seconds: given up
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "h1bench");
}

Downloader::~Downloader() { curl_easy_cleanup(impl_->curl); }

Status Downloader::Fetch(const Item& item, const DownloadProgress& progress) {
  if (impl_->curl == nullptr) return Internal("libcurl cannot be initialised");
  std::error_code error;
  fs::create_directories(item.target.parent_path(), error);
  if (error)
    return IoError("{}: cannot create: {}", item.target.parent_path().string(), error.message());
  const fs::path part = item.target.string() + ".part";
  if (SizeOf(part) > item.size) fs::remove(part, error);
  Transfer transfer;
  transfer.progress = &progress;
  if (SizeOf(part) < item.size) H1_RETURN_IF_ERROR(impl_->Download(item, part, transfer));
  std::string digest;
  {
    H1_ASSIGN_OR_RETURN(const MappedFile mapped, MappedFile::Open(part));
    digest = Sha256().Update(mapped.bytes()).FinishHex();
  }
  if (digest != item.sha256) {
    const std::int64_t size = SizeOf(part);
    fs::remove(part, error);
    return FailedPrecondition(
        "{}: {} bytes with SHA-256 {}..., expected {} bytes with {}...; nothing was kept. Is the "
        "mirror "
        "complete, or upstream's file changed?",
        item.url, size, digest.substr(0, 12), item.size, item.sha256.substr(0, 12));
  }
  fs::rename(part, item.target, error);
  if (error) return IoError("{}: cannot rename: {}", part.string(), error.message());
  return Status::Ok();
}

}  // namespace h1bench::tasks
