#include "base/build_info.h"

#include <utility>

#include "base/sha256.h"

namespace h1bench {
namespace {

BuildInfo& Global() {
  static BuildInfo info{"test", "", false, "", __VERSION__, "", ""};
  return info;
}

}  // namespace

const BuildInfo& GetBuildInfo() { return Global(); }
void SetBuildInfo(BuildInfo info) { Global() = std::move(info); }

std::string EngineBuild() {
  const BuildInfo& info = GetBuildInfo();
  return Sha256()
      .UpdateField(info.source_digest)
      .UpdateField(info.compiler)
      .UpdateField(info.build_type)
      .UpdateField(info.flags)
      .FinishHex();
}

}  // namespace h1bench
