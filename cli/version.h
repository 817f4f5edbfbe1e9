#pragma once

#include <string>

#include "base/build_info.h"
#include "base/json.h"

namespace h1bench::cli {

/// Defined in the file that cmake/build_info.cmake generates.
BuildInfo CompiledBuildInfo();

/// Everything `h1bench --version` says: build, backends with their instruction sets, versions of
/// the linked libraries.
Json VersionJson();
std::string VersionText();

}  // namespace h1bench::cli
