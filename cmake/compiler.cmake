# Warnings for our own targets, ccache when present, sanitizers when asked for.
add_library(h1_options INTERFACE)
target_include_directories(h1_options INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(h1_options INTERFACE
  "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wpedantic;-Wshadow;-Wconversion;-ffp-contract=off;-fno-strict-aliasing>")

find_program(H1_CCACHE ccache)
if(H1_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=pch_defines,time_macros
      ${H1_CCACHE})
endif()

if(H1_SANITIZE)
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${H1_SANITIZE};-fno-omit-frame-pointer;-fno-sanitize-recover=all>")
  add_link_options(-fsanitize=${H1_SANITIZE})
else()
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-fstack-protector-strong;-D_GLIBCXX_ASSERTIONS>")
endif()

option(H1_LIBFUZZER "Link the fuzz targets of tests/fuzz with libFuzzer and measure coverage everywhere (clang only)" OFF)
if(H1_LIBFUZZER)
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-fsanitize=fuzzer-no-link>")
endif()
