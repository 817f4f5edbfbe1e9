#pragma once

/// What the HTML page carries inside: our style and script, and Chart.js (Debian's libjs-chart.js,
/// MIT). Embedded when the program is built; a report needs no file and no network.
namespace h1bench::reports {

extern const char* const kPageStyle;
extern const char* const kPageScript;
extern const char* const kChartScript;

}  // namespace h1bench::reports
