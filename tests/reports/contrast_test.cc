// Text of the page can be read: WCAG 2's contrast of every text colour on every background, in each
// scheme of the style sheet.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "reports/render/assets.h"

namespace h1bench::reports {
namespace {

using Colours = std::map<std::string, std::string>;  // "fg" -> "1b1f24"

/// The variables of each ":root{--name:#hex;...}": light, dark, paper.
std::vector<Colours> Schemes(const std::string& css) {
  std::vector<Colours> schemes;
  for (std::size_t at = css.find(":root{"); at != std::string::npos; at = css.find(":root{", at)) {
    at += 6;
    Colours& colours = schemes.emplace_back();
    const std::size_t end = css.find('}', at);
    while (at < end) {
      const std::size_t colon = css.find(":#", at), stop = std::min(css.find(';', at), end);
      std::string hex = css.substr(colon + 2, stop - colon - 2);
      if (hex.size() == 3) hex = {hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]};
      colours[css.substr(at + 2, colon - at - 2)] = hex;
      at = stop + 1;
    }
  }
  return schemes;
}

/// Relative luminance of sRGB, as WCAG 2 defines it.
double Luminance(const std::string& hex) {
  double sum = 0;
  const double weights[] = {0.2126, 0.7152, 0.0722};
  for (std::size_t i = 0; i < 3; ++i) {
    const double c = std::stoi(hex.substr(2 * i, 2), nullptr, 16) / 255.0;
    sum += weights[i] * (c <= 0.03928 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4));
  }
  return sum;
}

double Contrast(const std::string& a, const std::string& b) {
  const double x = Luminance(a), y = Luminance(b);
  return (std::max(x, y) + 0.05) / (std::min(x, y) + 0.05);
}

TEST(PageStyle, TheMeasureIsWcags) {
  EXPECT_NEAR(Contrast("000000", "ffffff"), 21, 1e-9);
  EXPECT_NEAR(Contrast("777777", "ffffff"), 4.48, 0.005);  // the classic grey that just fails
}

TEST(PageStyle, TextCanBeRead) {
  const std::vector<Colours> schemes = Schemes(kPageStyle);
  ASSERT_EQ(schemes.size(), 3U);
  for (Colours scheme : schemes) {
    for (const char* text : {"fg", "soft", "accent", "warn", "ok"}) {
      for (const char* ground : {"bg", "card"}) {
        ASSERT_EQ(scheme[text].size(), 6U) << text;
        EXPECT_GE(Contrast(scheme[text], scheme[ground]), 4.5) << text << " on " << ground;
      }
    }
  }
}

}  // namespace
}  // namespace h1bench::reports
