#include "harness/store/lock.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace h1bench {

Result<RunLock> RunLock::Acquire(const std::filesystem::path& database) {
  const std::string file = database.string() + ".lock";
  const int descriptor = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0)
    return IoError("{}: cannot create the lock file: {}", file, std::strerror(errno));
  RunLock lock(descriptor);
  struct flock region = {};
  region.l_type = F_WRLCK;
  region.l_whence = SEEK_SET;
  if (fcntl(descriptor, F_SETLK, &region) == 0) return lock;
  if (errno != EACCES && errno != EAGAIN)
    return IoError("{}: cannot lock: {}", file, std::strerror(errno));
  region.l_type = F_WRLCK;
  const bool known = fcntl(descriptor, F_GETLK, &region) == 0 && region.l_type != F_UNLCK;
  return FailedPrecondition(
      "{}: process {} is running on this database. Wait for it, or give another --db.",
      database.string(), known ? std::to_string(region.l_pid) : "(unknown)");
}

RunLock::~RunLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

}  // namespace h1bench
