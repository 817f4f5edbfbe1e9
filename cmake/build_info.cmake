# Run at build time (cmake -P): writes OUTPUT, a C++ file that defines h1bench::cli::CompiledBuildInfo(). The digest covers
# the source files below SOURCE by name and content, so it needs no git and is the same in a tarball. The file is only
# touched when its content changes.
cmake_minimum_required(VERSION 3.25)

set(files CMakeLists.txt CMakePresets.json)
foreach(folder base cli cmake harness kernels proto reports runner tasks)
  foreach(extension cc h cu cuh proto cmake txt html css js sql)
    file(GLOB_RECURSE found RELATIVE ${SOURCE} ${SOURCE}/${folder}/*.${extension})
    list(APPEND files ${found})
  endforeach()
endforeach()
list(SORT files)
set(listing "")
foreach(name ${files})
  file(SHA256 ${SOURCE}/${name} digest)
  string(APPEND listing "${digest}  ${name}\n")
endforeach()
string(SHA256 H1_SOURCE_DIGEST "${listing}")

set(H1_GIT_REVISION "")
set(H1_GIT_DIRTY false)
find_program(GIT git)
if(GIT AND EXISTS ${SOURCE}/.git)  # not a repository that merely surrounds an unpacked tarball
  execute_process(COMMAND ${GIT} -C ${SOURCE} rev-parse HEAD OUTPUT_VARIABLE H1_GIT_REVISION
                  OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  execute_process(COMMAND ${GIT} -C ${SOURCE} status --porcelain --untracked-files=no OUTPUT_VARIABLE changes ERROR_QUIET)
  if(changes)
    set(H1_GIT_DIRTY true)
  endif()
endif()

file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT [[// Written by cmake/build_info.cmake.
#include "cli/version.h"

namespace h1bench::cli {

BuildInfo CompiledBuildInfo() {
  return {"@H1_VERSION@", "@H1_GIT_REVISION@", @H1_GIT_DIRTY@, "@H1_SOURCE_DIGEST@", "@H1_COMPILER@", "@H1_BUILD_TYPE@", "@H1_FLAGS@"};
}

}  // namespace h1bench::cli
]])
