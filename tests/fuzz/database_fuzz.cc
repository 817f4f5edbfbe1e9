// A database file of any bytes, opened read-only and read as a report does. Errors name the file;
// what is read without one has its content inside the limits that the store keeps; the file stays
// as it was. The last byte of the input changes the rest: 1 makes the page checksums right again,
// so that the fuzzer gets past them.
#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "harness/store/store.h"
#include "harness/store/vfs.h"

namespace {

using namespace h1bench;

void Demand(bool condition) {
  if (!condition) std::abort();
}

constexpr std::size_t kMost = 1 << 20;

std::string ReadAll(const std::string& file) {
  auto store = Store::Open(file, Store::Mode::kReadOnly);
  if (!store.ok()) return store.status().message();
  const auto runs = (*store)->ListRuns();
  if (!runs.ok()) return runs.status().message();
  for (const RunRow& run : *runs) {
    int left = 1000;
    const Status status = (*store)->ForEachSample(
        run.id,
        [&](const VariantRow&, const RunTaskRow&, const SampleRow&, const ResponseRow* response,
            const ScoreRow*) -> Status {
          if (response != nullptr) {
            for (const std::int32_t id : response->first_ids) Demand(id >= 0);
            for (const double value : response->loglikelihoods) Demand(value == value);
          }
          return --left > 0 ? Status::Ok() : Status(StatusCode::kCancelled, file + ": enough");
        });
    if (!status.ok()) return status.message();
  }
  return "";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > kMost) return 0;
  std::string bytes(reinterpret_cast<const char*>(data), size - 1);
  if (data[size - 1] == 1) SealPages(bytes);
  static const std::string file = "/tmp/h1bench-database-fuzz-" + std::to_string(getpid());
  const int out = open(file.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  Demand(out >= 0 && write(out, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  const std::string message = ReadAll(file);
  Demand(message.empty() || message.find(file) != std::string::npos);
  std::string after(bytes.size() + 1, '\0');
  Demand(pread(out, after.data(), after.size(), 0) == static_cast<ssize_t>(bytes.size()));
  Demand(std::memcmp(after.data(), bytes.data(), bytes.size()) == 0);
  close(out);
  for (const char* end : {"", "-wal", "-shm", "-journal"}) unlink((file + end).c_str());
  return 0;
}
