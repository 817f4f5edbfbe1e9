#include "runner/worker/identity.h"

#include "base/build_info.h"
#include "kernels/backend.h"

namespace h1bench {

Result<std::string> EngineIdentity(const std::string& engine) {
  if (engine == "null") return std::string("null engine 1");
  H1_ASSIGN_OR_RETURN(const Device device, ParseDevice(engine));
  H1_ASSIGN_OR_RETURN(const std::string identity, DeviceIdentity(device));
  return fmt::format("engine {} {}", EngineBuild(), identity);
}

}  // namespace h1bench
