#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace h1bench::tasks::ruler {

/// Upstream's post-processing of a response: stripped, control characters as line feeds, stripped.
std::string CleanResponse(std::string_view response);

/// How many of the answers stand in the text, whatever their case (Unicode's simple lower case).
std::size_t CountFound(std::string_view text, const std::vector<std::string>& answers);

}  // namespace h1bench::tasks::ruler
