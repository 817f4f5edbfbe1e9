#include "harness/store/network_file_system.h"

#include <sys/vfs.h>

#include <cerrno>
#include <cstring>

namespace h1bench {
namespace {

/// f_type as in statfs(2) and linux/magic.h.
const char* NetworkName(std::uint64_t type) {
  switch (type & 0xffffffff) {
    case 0x6969:
      return "NFS";
    case 0x517b:
    case 0xff534d42:
    case 0xfe534d42:
      return "SMB";
    case 0x0bd00bd0:
      return "Lustre";
    case 0x47504653:
      return "GPFS";
    case 0x19830326:
      return "BeeGFS";
    case 0x00c36400:
      return "Ceph";
    case 0x5346414f:
    case 0x6b414653:
      return "AFS";
    case 0x73757245:
      return "Coda";
    case 0x01021997:
      return "9p";
    default:
      return nullptr;
  }
}

}  // namespace

Result<std::uint64_t> FileSystemType(const std::filesystem::path& path) {
  struct statfs facts = {};
  if (statfs(path.c_str(), &facts) != 0)
    return IoError("{}: cannot look at its file system: {}", path.string(), std::strerror(errno));
  return static_cast<std::uint64_t>(facts.f_type);
}

Status RefuseNetworkFileSystem(
    const std::filesystem::path& database,
    const std::function<Result<std::uint64_t>(const std::filesystem::path&)>& type_of) {
  std::error_code error;
  std::filesystem::path place = std::filesystem::absolute(database, error);
  while (!std::filesystem::exists(place, error) && place.has_relative_path())
    place = place.parent_path();
  const Result<std::uint64_t> type = type_of(place);
  if (!type.ok()) return Status::Ok();  // opening it will say more
  const char* name = NetworkName(*type);
  if (name == nullptr) return Status::Ok();
  return Unsupported(
      "{}: {} is on {}, a network file system, where SQLite can lose acknowledged answers. Give a "
      "--db on a disk of this machine; the finished file can be copied anywhere.",
      database.string(), place.string(), name);
}

}  // namespace h1bench
