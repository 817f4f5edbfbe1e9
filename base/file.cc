#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

namespace h1bench {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

Status OpenError(const std::filesystem::path& path) {
  if (errno == ENOENT) return NotFound("{}: no such file", path.string());
  return IoError("{}: cannot open: {}", path.string(), std::strerror(errno));
}

}  // namespace

Result<std::string> ReadFile(const std::filesystem::path& path, std::uint64_t max_bytes) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return OpenError(path);
  struct stat info {};
  if (fstat(file.get(), &info) != 0 || S_ISDIR(info.st_mode))
    return IoError("{}: not a readable file", path.string());
  if (static_cast<std::uint64_t>(info.st_size) > max_bytes)
    return ResourceExhausted("{}: {} bytes, at most {} are read", path.string(), info.st_size,
                             max_bytes);
  std::string bytes;
  char buffer[1 << 16];
  while (true) {
    const ssize_t count = read(file.get(), buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return IoError("{}: read failed: {}", path.string(), std::strerror(errno));
    if (count == 0) return bytes;
    bytes.append(buffer, static_cast<std::size_t>(count));
    if (bytes.size() > max_bytes)
      return ResourceExhausted("{}: more than {} bytes", path.string(), max_bytes);
  }
}

Status WriteFileAtomically(const std::filesystem::path& path, std::string_view bytes) {
  std::error_code error;
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), error);
  const std::string temporary = path.string() + ".tmp" + std::to_string(getpid());
  {
    const Descriptor file(open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (file.get() < 0) return IoError("{}: cannot write: {}", path.string(), std::strerror(errno));
    while (!bytes.empty()) {
      const ssize_t count = write(file.get(), bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) {
        const int failure = errno;
        unlink(temporary.c_str());
        return IoError("{}: write failed: {}", path.string(), std::strerror(failure));
      }
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    if (fsync(file.get()) != 0)
      return IoError("{}: fsync failed: {}", path.string(), std::strerror(errno));
  }
  if (std::rename(temporary.c_str(), path.c_str()) != 0) {
    const int failure = errno;
    unlink(temporary.c_str());
    return IoError("{}: rename failed: {}", path.string(), std::strerror(failure));
  }
  return Status::Ok();
}

Result<MappedFile> MappedFile::Open(const std::filesystem::path& path) {
  // O_NONBLOCK: a pipe of that name must not make us wait for its writer.
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return OpenError(path);
  struct stat info {};
  if (fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode))
    return IoError("{}: not a regular file", path.string());
  const auto size = static_cast<std::size_t>(info.st_size);
  if (size == 0) return MappedFile(nullptr, 0);
  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (data == MAP_FAILED)
    return IoError("{}: mmap failed: {}", path.string(), std::strerror(errno));
  return MappedFile(static_cast<const std::byte*>(data), size);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

void MappedFile::Forget(std::span<const std::byte> part) const {
  // Elsewhere the same call would erase what is there.
  if (data_ == nullptr || part.data() < data_ || part.data() + part.size() > data_ + size_) return;
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const auto offset = static_cast<std::size_t>(part.data() - data_);
  const std::size_t begin = (offset + page - 1) / page * page;
  const std::size_t end = (offset + part.size()) / page * page;
  if (begin < end) madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace h1bench
