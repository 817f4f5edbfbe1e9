# h1_library(NAME [LINK libs...]): a static library of every .cc below the current folder.
function(h1_library name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  if(sources)
    add_library(${name} STATIC ${sources})
    target_link_libraries(${name} PUBLIC h1_options ${ARG_LINK})
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE h1_options ${ARG_LINK})
  endif()
endfunction()

# Seconds that a test may take: `seconds`, and under the sanitizers, which slow it down, more.
function(h1_test_limit variable seconds)
  if(H1_SANITIZE)
    math(EXPR seconds "4 * ${seconds}")
  endif()
  set(${variable} ${seconds} PARENT_SCOPE)
endfunction()

# h1_discover(NAME PREFIX FILTER LABEL SECONDS): a ctest for each test of the GoogleTest binary NAME that FILTER lets through.
# A sanitizer's report fails it, also one after which the program goes on.
function(h1_discover name prefix filter label seconds)
  gtest_discover_tests(${name} TEST_FILTER "${filter}" TEST_PREFIX "${prefix}." DISCOVERY_TIMEOUT 60 PROPERTIES
                       LABELS ${label} TIMEOUT ${seconds} SKIP_REGULAR_EXPRESSION "\\[  SKIPPED \\]"
                       FAIL_REGULAR_EXPRESSION "ERROR: [A-Za-z]*Sanitizer|WARNING: ThreadSanitizer|WARNING: ASan|runtime error:")
endfunction()

# h1_test(FOLDER [LINK libs...]): one GoogleTest binary of every *_test.cc below tests/FOLDER. Suites whose name
# starts with "Slow" carry the ctest label slow, with "Full" the label full (`scripts/test --full`); all others are
# the quick stage.
function(h1_test folder)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*_test.cc)
  if(NOT sources)
    return()
  endif()
  set(name test_${folder})
  add_executable(${name} ${sources})
  target_link_libraries(${name} PRIVATE h1_options h1_test_main GTest::gmock ${ARG_LINK})
  h1_test_limit(quick 120)
  h1_test_limit(slow 900)
  h1_test_limit(full 1800)
  h1_discover(${name} ${folder} "-*Slow*:Full*" quick ${quick})
  h1_discover(${name} ${folder} "*Slow*" slow ${slow})
  h1_discover(${name} ${folder} "Full*" full ${full})
endfunction()
