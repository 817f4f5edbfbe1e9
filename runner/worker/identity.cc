#include "runner/worker/identity.h"

#include "base/build_info.h"
#include "kernels/backend.h"

namespace h1bench {

Result<std::string> EngineIdentity(const std::string& engine) {
  if (engine == "null") return std::string("null engine 1");
  if (engine == "cpu") return fmt::format("engine {} {}", EngineBuild(), CpuIdentity());
  return InvalidArgument("--engine: expected cpu or null, found \"{}\"", engine);
}

}  // namespace h1bench
