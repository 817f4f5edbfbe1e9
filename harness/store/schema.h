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

}  // namespace h1bench
