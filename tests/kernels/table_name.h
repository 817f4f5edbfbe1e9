#pragma once

#include <gtest/gtest.h>

#include <cctype>
#include <string>

#include "kernels/cpu/vector/table.h"

namespace h1bench::cpu {

/// Name of a test that is run for every table of kernels (the parameter is its index): the table's.
inline std::string TableName(const ::testing::TestParamInfo<int>& given) {
  std::string name = AllKernels().tables[given.param]->name;
  for (char& c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  return name;
}

}  // namespace h1bench::cpu
