#pragma once

#include <sqlite3.h>

#include <string>

namespace h1bench {

/// Name of the VFS below every database of ours: SQLite's own, and between
/// - a checksum in the last kPageChecksumBytes of every page, written with the page and checked
///   when it is read. A page that is not what was written gives SQLITE_IOERR_DATA. Databases
///   without reserved bytes (made by older programs) are read and written unchecked. Other programs
///   may read such a database; one that writes to it makes pages that are refused here.
/// - the failpoints io.read, io.write, io.sync, io.truncate (SQLITE_IOERR_*) and io.full
///   (SQLITE_FULL, on a write).
inline constexpr const char* kVfsName = "h1bench";
inline constexpr int kPageChecksumBytes = 8;

/// Writes the right checksum into every whole page of a database's bytes, where its header says
/// that it has checksums: for tests that damage what lies above the pages.
void SealPages(std::string& database);

/// Registers the VFS, once. Thread-safe. SQLite's result code.
int RegisterVfs();

}  // namespace h1bench
