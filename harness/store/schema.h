#pragma once

#include "harness/store/sqlite.h"

namespace h1bench {

/// "h1bn" in SQLite's header: tells our files from others.
inline constexpr std::int64_t kApplicationId = 0x6831626e;
/// user_version of the newest schema this program knows.
std::int64_t SchemaVersion();
/// Brings an empty or older file to SchemaVersion, one transaction a step; refuses foreign and
/// newer files.
Status Migrate(Database& database);
/// The same checks without changing anything.
Status CheckSchema(Database& database);

/// Holds every table, index, view and trigger of the file against those that Migrate makes: a file
/// of another origin could answer our queries with a view or act on them with a trigger.
Status CheckTables(Database& database);

}  // namespace h1bench
