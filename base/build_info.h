#pragma once

#include <string>

namespace h1bench {

/// What this program was built from. Two builds of one tree with one compiler and flags are equal;
/// git adds a name to it and nothing else.
struct BuildInfo {
  std::string version;
  std::string git_revision;   // empty: not built from a git checkout
  bool dirty = false;         // tracked files differed from that revision
  std::string source_digest;  // SHA-256 over the source files (cmake/build_info.cmake)
  std::string compiler, build_type, flags;
};

/// Unknown (empty digest) until SetBuildInfo was called: tests link the libraries without the
/// generated part, so that a changed source file does not relink them all.
const BuildInfo& GetBuildInfo();
/// First thing in main, before threads exist.
void SetBuildInfo(BuildInfo info);
/// The "engine build" of request keys: SHA-256 (hex) over sources, compiler, build type and flags.
std::string EngineBuild();

}  // namespace h1bench
