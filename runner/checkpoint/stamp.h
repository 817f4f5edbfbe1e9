#pragma once

#include <filesystem>
#include <string>

namespace h1bench {

/// What the file system says of a folder's files, as a SHA-256 (hex): names, devices, inodes,
/// sizes, and the times of the last change to the nanosecond, as no program can set them
/// (st_ctim). Symbolic links are followed. Two equal stamps from one machine mean that the files
/// were not written in between: what was read of them is still so, and need not be read again.
/// Empty where that cannot be told: the folder cannot be read, or a file changed within the last
/// two seconds, so that a change in the same tick of the clock would not show.
std::string FolderStamp(const std::filesystem::path& folder);

}  // namespace h1bench
