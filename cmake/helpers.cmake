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
  gtest_discover_tests(${name} TEST_FILTER "-*Slow*:Full*" PROPERTIES LABELS quick TIMEOUT 120 DISCOVERY_TIMEOUT 60
                       TEST_PREFIX "${folder}." SKIP_REGULAR_EXPRESSION "\\[  SKIPPED \\]")
  gtest_discover_tests(${name} TEST_FILTER "*Slow*" PROPERTIES LABELS slow TIMEOUT 900 DISCOVERY_TIMEOUT 60
                       TEST_PREFIX "${folder}." SKIP_REGULAR_EXPRESSION "\\[  SKIPPED \\]")
  gtest_discover_tests(${name} TEST_FILTER "Full*" PROPERTIES LABELS full TIMEOUT 1800 DISCOVERY_TIMEOUT 60
                       TEST_PREFIX "${folder}." SKIP_REGULAR_EXPRESSION "\\[  SKIPPED \\]")
endfunction()
