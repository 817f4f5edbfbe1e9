#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "base/status.h"

namespace h1bench {

/// statfs(2)'s f_type of a path, or an I/O error.
Result<std::uint64_t> FileSystemType(const std::filesystem::path& path);

/// kUnsupported when the database would lie on a file system that other machines write to, too.
/// SQLite's log needs memory that all its users share, and locks that hold: on NFS and the like an
/// acknowledged answer can be lost. Looks at the nearest folder that exists; `type_of` is replaced
/// by tests.
Status RefuseNetworkFileSystem(
    const std::filesystem::path& database,
    const std::function<Result<std::uint64_t>(const std::filesystem::path&)>& type_of =
        FileSystemType);

}  // namespace h1bench
