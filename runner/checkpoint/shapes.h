#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "kernels/model.h"

namespace h1bench {

/// A released size: what its config.json says, and how many parameters its published files hold.
struct ReleasedShape {
  std::string name;
  ModelShape shape;
  std::int64_t parameters = 0;
};

/// 0.5B, 1.5B (the Instruct model's 65,537 rows), 1.5B-Deep, 3B, 7B, 34B, Tiny-90M. Facts:
/// published configs where there are any; multipliers of the larger ones follow the law that fits
/// every published digit (README.md).
const std::vector<ReleasedShape>& ReleasedShapes();
/// Lists the known names in its error.
Result<ReleasedShape> FindReleasedShape(const std::string& name);

}  // namespace h1bench
