#pragma once

#include "reports/report.h"

namespace h1bench::reports {

/// ReportVariant::average from the cells, of each variant that has a score on every task.
void AverageTasks(ReportVariant& variant);

/// Report::ranking (best average first; those without one last) and Report::answer.
void Rank(Report& report);

}  // namespace h1bench::reports
