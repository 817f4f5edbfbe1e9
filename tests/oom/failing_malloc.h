#pragma once

#include <cstdint>

/// malloc and its kin for this program, so that operator new, SQLite, PCRE2, Oniguruma and
/// RapidJSON all run out of memory where a test wants it. Counts per thread.
namespace h1bench::oom {

/// The allocation of that number (from 1) on this thread fails, and where `sticky` all after it.
void Arm(std::int64_t allocation, bool sticky);
/// Back to normal; true when an allocation has failed.
bool Disarm();
/// Allocated minus freed on this thread.
std::int64_t LiveBlocks();

}  // namespace h1bench::oom
